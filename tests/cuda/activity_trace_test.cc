// The trace file, from records as CUPTI would hand them over.

#include "core/cuda/activity_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/trace_range.h"
#include "core/cuda/activity_json.h"
#include "core/cuda/cupti_api.h"
#include "tests/support/temp_dir.h"

namespace trireme::cuda {
namespace {

using ::testing::HasSubstr;

// CUPTI's side: one kernel and one copy, handed over when the trace is flushed.
struct FakeCupti {
  CUpti_BuffersCallbackRequestFunc give = nullptr;
  CUpti_BuffersCallbackCompleteFunc take = nullptr;
  uint64_t now = 1000;
  int enabled = 0;
  CUptiResult enable_answer = CUPTI_SUCCESS;
};
FakeCupti fake_cupti;

CUpti_ActivityKernel10 kernel_record() {
  CUpti_ActivityKernel10 kernel{};
  kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  kernel.name = "_Z11gelu_kernelIfEvlPT_";
  kernel.start = 5'000;
  kernel.end = 8'500;
  kernel.streamId = 7;
  kernel.gridX = 132;
  kernel.gridY = kernel.gridZ = kernel.blockY = kernel.blockZ = 1;
  kernel.blockX = 256;
  return kernel;
}

CUpti_ActivityMemcpy6 copy_record() {
  CUpti_ActivityMemcpy6 copy{};
  copy.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
  copy.copyKind = CUPTI_ACTIVITY_MEMCPY_KIND_HTOD;
  copy.bytes = 4096;
  copy.start = 2'000;
  copy.end = 3'000;
  copy.streamId = 7;
  return copy;
}

CuptiApi fake_api() {
  fake_cupti = {};
  CuptiApi api{};
  api.register_callbacks = [](CUpti_BuffersCallbackRequestFunc give,
                              CUpti_BuffersCallbackCompleteFunc take) {
    fake_cupti.give = give;
    fake_cupti.take = take;
    return CUPTI_SUCCESS;
  };
  api.enable = [](CUpti_ActivityKind) {
    ++fake_cupti.enabled;
    return fake_cupti.enable_answer;
  };
  api.disable = [](CUpti_ActivityKind) {
    --fake_cupti.enabled;
    return CUPTI_SUCCESS;
  };
  api.timestamp = [](uint64_t* ns) {
    *ns = fake_cupti.now;
    fake_cupti.now += 500;
    return CUPTI_SUCCESS;
  };
  api.result_string = [](CUptiResult, const char** text) {
    *text = "insufficient privileges";
    return CUPTI_SUCCESS;
  };
  api.flush_all = [](uint32_t) {
    uint8_t* buffer = nullptr;
    size_t bytes = 0, most = 0;
    fake_cupti.give(&buffer, &bytes, &most);
    fake_cupti.take(nullptr, 0, buffer, bytes, 2);  // "used": the number of records here
    return CUPTI_SUCCESS;
  };
  api.next_record = [](uint8_t*, size_t count, CUpti_Activity** record) {
    static CUpti_ActivityKernel10 kernel = kernel_record();
    static CUpti_ActivityMemcpy6 copy = copy_record();
    CUpti_Activity* const all[] = {reinterpret_cast<CUpti_Activity*>(&copy),
                                   reinterpret_cast<CUpti_Activity*>(&kernel)};
    static size_t next = 0;
    if (next == count) {
      next = 0;
      return CUPTI_ERROR_MAX_LIMIT_REACHED;
    }
    *record = all[next++];
    return CUPTI_SUCCESS;
  };
  return api;
}

nlohmann::json read(const std::string& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

nlohmann::json named(const nlohmann::json& trace, const std::string& name) {
  for (const auto& event : trace) {
    if (event["name"] == name) return event;
  }
  return {};
}

TEST(ActivityTrace, WritesKernelsCopiesAndHostRanges) {
  const trireme::testing::TempDir dir;
  const std::string path = dir / "trace.json";
  {
    const ActivityTrace trace(path, 3, fake_api());
    EXPECT_EQ(fake_cupti.enabled, 3);
    const TraceRange outer("forward");
    const TraceRange inner("block \"0\"");
  }
  EXPECT_EQ(fake_cupti.enabled, 0);
  const nlohmann::json trace = read(path);
  const nlohmann::json kernel = named(trace, "gelu_kernel<float>");
  EXPECT_EQ(kernel["ts"], 4.0);  // the trace began at 1000 ns
  EXPECT_EQ(kernel["dur"], 3.5);
  EXPECT_EQ(kernel["pid"], 3);
  EXPECT_EQ(kernel["args"]["grid"][0], 132);
  const nlohmann::json copy = named(trace, "copy host to device");
  EXPECT_EQ(copy["args"]["bytes"], 4096);
  EXPECT_EQ(copy["tid"], kernel["tid"]);
  const nlohmann::json outer = named(trace, "forward"), inner = named(trace, "block \"0\"");
  EXPECT_LT(outer["ts"], inner["ts"]);
  EXPECT_GT(outer["dur"], inner["dur"]);
  EXPECT_NE(outer["tid"], kernel["tid"]);
}

TEST(ActivityTrace, RangesCallNothingWhenItHasEnded) {
  const trireme::testing::TempDir dir;
  { const ActivityTrace trace(dir / "trace.json", 0, fake_api()); }
  const uint64_t now = fake_cupti.now;
  { const TraceRange range("later"); }
  EXPECT_EQ(fake_cupti.now, now);
}

TEST(ActivityTrace, SaysWhyItCannotStart) {
  const trireme::testing::TempDir dir;
  const CuptiApi api = fake_api();
  fake_cupti.enable_answer = CUPTI_ERROR_INSUFFICIENT_PRIVILEGES;
  try {
    const ActivityTrace trace(dir / "trace.json", 0, api);
    FAIL() << "nothing was thrown";
  } catch (const CudaError& error) {
    EXPECT_THAT(error.what(), HasSubstr("insufficient privileges; no other profiler"));
  }
  EXPECT_THROW(ActivityTrace("/nowhere/trace.json", 0, fake_api()), IoError);
  EXPECT_NO_THROW(ActivityTrace(dir / "trace.json", 0, fake_api()));
}

TEST(ActivityJson, NamesKernelsWithoutTheirParameters) {
  EXPECT_EQ(kernel_name("_Z11gelu_kernelIfEvlPT_"), "gelu_kernel<float>");
  EXPECT_EQ(kernel_name("ncclDevKernel_AllReduce_Sum_f32_RING_LL"),
            "ncclDevKernel_AllReduce_Sum_f32_RING_LL");
  EXPECT_EQ(json_text("a\"b\\c\n"), "a\\\"b\\\\c ");
}

}  // namespace
}  // namespace trireme::cuda
