// The wrapper of cuDNN without a GPU: plans, their choice, their memory, and what errors say.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kernels/cudnn_conv2d.h"
#include "tests/kernels/cudnn_mock.h"
#include "tests/kernels/host_device.h"

namespace trireme::kernels {
namespace {

using ::testing::AllOf;
using testing::CudnnMock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HostDevice;
using ::testing::StartsWith;

constexpr Conv2dGeometry kGeometry{1, 4, 4, 8, 8, 3, 3, 1, 1, 1, 1};

struct Library {
  CudnnMock mock;
  // Engine 0 takes 3 ms, engine 1 takes 1, engine 2 takes 2.
  HostDevice device{[this] {
    return std::vector{3.0, 1.0, 2.0}[size_t(mock.state().executed.back())];
  }};
  std::unique_ptr<CudnnLibrary> cudnn;

  explicit Library(CudnnOptions options = {}) {
    cudnn = std::make_unique<CudnnLibrary>(mock.api(), device, options);
  }
  CudnnBuilt build(const CudnnFilter& filter) {
    return build_conv2d(cudnn->graph("conv2d"),
                        {CudnnConvolution::kForward, kGeometry, CUDNN_DATA_BFLOAT16, 16}, filter);
  }
  void run(CudnnBuilt& built) {
    cudnn->run(built, {&memory[0], &memory[1], &memory[2], nullptr}, nullptr);
  }
  ~Library() {
    EXPECT_EQ(mock.state().complaint, "");
    cudnn.reset();
    EXPECT_EQ(mock.state().live_objects, 0);
  }
  char memory[3];
};

TEST(CudnnLibrary, TheFirstEngineIsUsedUnlessMoreAreWanted) {
  Library library;
  CudnnBuilt built = library.build({});
  ASSERT_EQ(built.plans.size(), 1u);
  library.run(built);
  library.run(built);
  EXPECT_THAT(library.mock.state().executed, ElementsAre(0, 0));
  EXPECT_EQ(library.device.timings, 0);
}

TEST(CudnnLibrary, FaultsAreLookedForBehindEachPlan) {
  Library library;
  CudnnBuilt built = library.build({});
  library.run(built);
  library.run(built);
  EXPECT_THAT(library.device.checked, ElementsAre("conv2d", "conv2d"));
}

TEST(CudnnLibrary, TheFastestOfSeveralIsKept) {
  Library library;
  CudnnBuilt built = library.build({.most = 3});
  library.run(built);
  EXPECT_EQ(library.mock.state().executed.back(), 1);
  EXPECT_EQ(library.device.timings, 3);
  library.run(built);
  EXPECT_EQ(library.mock.state().executed.back(), 1);
  EXPECT_EQ(library.device.timings, 3);
  EXPECT_EQ(built.plans.size(), 1u);
}

TEST(CudnnLibrary, NothingIsTimedDuringACapture) {
  Library library;
  CudnnBuilt built = library.build({.most = 3});
  library.device.is_capturing = true;
  library.run(built);
  EXPECT_THAT(library.mock.state().executed, ElementsAre(0));
  library.device.is_capturing = false;
  library.run(built);
  EXPECT_EQ(library.mock.state().executed.back(), 1);
}

TEST(CudnnLibrary, WithoutTuningTheFirstOfSeveralIsUsed) {
  Library library({.tune = false});
  CudnnBuilt built = library.build({.most = 3});
  library.run(built);
  EXPECT_THAT(library.mock.state().executed, ElementsAre(0));
}

TEST(CudnnLibrary, RefusesEnginesByTheirNotes) {
  Library library;
  library.mock.state().notes = {
      {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, {}};
  const auto first = [&](const CudnnFilter& filter) {
    CudnnBuilt built = library.build(filter);
    library.run(built);
    return library.mock.state().executed.back();
  };
  EXPECT_EQ(first({}), 0);
  EXPECT_EQ(first({.deterministic = true}), 1);
  EXPECT_EQ(first({.exact_f32 = true}), 0);
  EXPECT_EQ(first({.deterministic = true, .exact_f32 = true}), 2);
}

TEST(CudnnLibrary, HasNoPlansForAGraphThatCudnnDoesNotKnow) {
  Library library;
  library.mock.state().supports = false;
  EXPECT_TRUE(library.build({}).plans.empty());
  library.mock.state().supports = true;
  library.mock.state().engines = 0;
  EXPECT_TRUE(library.build({}).plans.empty());
}

TEST(CudnnLibrary, BuildsOncePerKey) {
  Library library;
  int builds = 0;
  const auto build = [&] {
    ++builds;
    return library.build({});
  };
  const CudnnKey a{1, 2, 3}, b{1, 2, 4};
  CudnnBuilt* first = &library.cudnn->built(a, build);
  library.cudnn->built(b, build);
  EXPECT_EQ(&library.cudnn->built(a, build), first);
  EXPECT_EQ(builds, 2);
}

/// Builds and runs with the given call failing: its error, or "" when nothing was thrown.
std::string error_with_failing_call(int call, int& calls) {
  Library library;
  library.mock.state().fail_at = library.mock.state().calls + call;
  std::string message;
  try {
    CudnnBuilt built = library.build({.deterministic = true, .most = 1});
    if (!built.plans.empty()) library.run(built);
  } catch (const CudaError& error) {
    message = error.what();
  }
  calls = library.mock.state().calls - 1;  // but cudnnCreate
  return message;
}

// Whatever call fails: one message that names the op, or another engine is found; nothing is left.
TEST(CudnnLibrary, AnErrorAtAnyCallIsOneClearMessage) {
  int calls = 0;
  ASSERT_EQ(error_with_failing_call(1 << 20, calls), "");
  const int all = calls;
  ASSERT_GT(all, 50);
  int errors = 0;
  for (int call = 0; call < all; ++call) {
    const std::string message = error_with_failing_call(call, calls);
    if (message.empty()) continue;
    ++errors;
    EXPECT_THAT(message, HasSubstr("failed, CUDNN_STATUS_INTERNAL_ERROR; cuDNN says: the mock was "
                                   "told to"));
    EXPECT_THAT(message, ::testing::AnyOf(StartsWith("conv2d: cuDNN descriptor "),
                                          StartsWith("conv2d: cudnnBackendExecute "),
                                          StartsWith("cudnn: cudnnSetStream ")));
  }
  EXPECT_GT(errors, all - 6);  // finalising a heuristic or a plan may fail: there are others
}

TEST(CudnnLibrary, AnErrorNamesTheDescriptor) {
  Library library;
  library.mock.state().fail_at = library.mock.state().calls + 2;  // the first tensor's data type
  try {
    library.build({});
    FAIL() << "no error";
  } catch (const CudaError& error) {
    EXPECT_THAT(error.what(), AllOf(StartsWith("conv2d: cuDNN descriptor tensor x, setting "
                                               "attribute 901 failed")));
  }
}

// The real library: on a machine without a GPU it must become one message that says what to do.
TEST(CudnnLibrary, CannotStartWithoutADriverAndSaysWhatToDo) {
  cudnnHandle_t handle = nullptr;
  if (cudnn_api().Create(&handle) == CUDNN_STATUS_SUCCESS) {
    cudnn_api().Destroy(handle);
    GTEST_SKIP() << "there is a GPU here";
  }
  HostDevice device([] { return 0.0; });
  try {
    CudnnLibrary(cudnn_api(), device, {});
    FAIL() << "no error";
  } catch (const CudaError& error) {
    EXPECT_STREQ(error.what(),
                 "cudnn: cudnnCreate failed, CUDNN_STATUS_NOT_INITIALIZED; no NVIDIA driver or GPU "
                 "can be used here; run trireme doctor, or use --device cpu");
  }
}

}  // namespace
}  // namespace trireme::kernels
