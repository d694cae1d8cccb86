// Who computes what cuDNN and our own kernels both can: by time, by option, and after a refusal.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kernels/cudnn_batch_norm.h"
#include "tests/kernels/cudnn_mock.h"
#include "tests/kernels/host_device.h"

namespace trireme::kernels {
namespace {

using testing::CudnnMock;
using ::testing::HasSubstr;
using testing::HostDevice;
using ::testing::StartsWith;

struct Library {
  CudnnMock mock;
  double ms_of_own = 2;
  // Engine 0 takes 3 ms, engine 1 takes 1, engine 2 takes 2.
  HostDevice device{[this] { return ran_own ? ms_of_own : std::vector{3.0, 1.0, 2.0}[engine()]; }};
  std::unique_ptr<CudnnLibrary> cudnn;
  bool ran_own = false;
  int builds = 0;
  std::array<char, 8> memory{};

  explicit Library(CudnnOptions options = {}) {
    mock.state().execute = [this](const auto&, const auto&) { ran_own = false; };
    cudnn = std::make_unique<CudnnLibrary>(mock.api(), device, options);
  }
  size_t engine() { return static_cast<size_t>(mock.state().executed.back()); }

  /// True if cuDNN has run.
  bool run(int64_t batch = 2) {
    const CudnnBatchNorm norm{{batch, 4, 4, 8}, NormEnd::kPlain, CUDNN_DATA_BFLOAT16};
    static const float eps = 1;
    char* m = memory.data();
    return cudnn->run_unless_slower(
        key_of_batch_norm(norm),
        [&] {
          ++builds;
          return build_batch_norm(cudnn->graph("batch_norm"), norm, {.most = 3});
        },
        {m, nullptr, m + 1, m + 2, &eps, m + 3, m + 4, m + 5}, nullptr, [&] { ran_own = true; });
  }
  ~Library() {
    EXPECT_EQ(mock.state().complaint, "");
    cudnn.reset();
    EXPECT_EQ(mock.state().live_objects, 0);
  }
};

TEST(CudnnRival, TheFastestOfAllIsKeptForTheShape) {
  Library library;
  EXPECT_TRUE(library.run());
  EXPECT_EQ(library.engine(), 1u);
  EXPECT_EQ(library.device.timings, 4);  // three plans and our own
  const size_t runs = library.mock.state().executed.size();
  EXPECT_TRUE(library.run());
  EXPECT_EQ(library.mock.state().executed.size(), runs + 1);
  EXPECT_EQ(library.device.timings, 4);
  library.ms_of_own = 0.5;
  EXPECT_FALSE(library.run(3));  // another shape is another choice
  EXPECT_FALSE(library.run(3));
  EXPECT_EQ(library.device.timings, 8);
  EXPECT_TRUE(library.run());
  EXPECT_EQ(library.builds, 2);
}

TEST(CudnnRival, NothingIsDecidedDuringACapture) {
  Library library;
  library.device.is_capturing = true;
  EXPECT_FALSE(library.run());
  EXPECT_EQ(library.device.timings, 0);
  EXPECT_EQ(library.builds, 0);
  library.device.is_capturing = false;
  EXPECT_TRUE(library.run());
  library.device.is_capturing = true;
  EXPECT_TRUE(library.run());  // decided before
}

TEST(CudnnRival, WithoutTimingOurOwnAreUsedAndCudnnIsNotAsked) {
  Library library({.tune = false});
  EXPECT_FALSE(library.run());
  EXPECT_EQ(library.builds, 0);
}

TEST(CudnnRival, TheOptionForcesEither) {
  {
    Library own({.cudnn_or_own = CudnnUse::kOwn});
    EXPECT_FALSE(own.run());
    EXPECT_EQ(own.builds, 0);
  }
  Library cudnn({.tune = false, .cudnn_or_own = CudnnUse::kCudnn});
  cudnn.ms_of_own = 0;
  EXPECT_TRUE(cudnn.run());
  EXPECT_EQ(cudnn.engine(), 0u);
}

TEST(CudnnRival, ARefusedGraphIsAskedForOnce) {
  for (bool has_engines : {false, true}) {
    Library library;
    library.mock.state().supports = has_engines;
    library.mock.state().engines = 0;
    EXPECT_FALSE(library.run());
    EXPECT_FALSE(library.run());
    EXPECT_EQ(library.builds, 1);
    EXPECT_EQ(library.device.timings, 0);
  }
}

// A plan asks for a block in each of its 4 runs.
TEST(CudnnRival, PlansForWhichThereIsNoMemoryAreLeftOut) {
  {
    Library fastest_is_large;
    fastest_is_large.ms_of_own = 4;
    fastest_is_large.device.lacks_memory = [](int block) { return block == 4; };
    EXPECT_TRUE(fastest_is_large.run());
    EXPECT_EQ(fastest_is_large.engine(), 2u);
  }
  Library all_are_large;
  all_are_large.device.lacks_memory = [](int) { return true; };
  EXPECT_FALSE(all_are_large.run());
  EXPECT_FALSE(all_are_large.run());
}

/// Runs with the given call failing. What happened, and how many calls there were.
enum class Outcome { kCudnn, kOwn, kError };
Outcome outcome_with_failing_call(CudnnUse use, int call, int& calls, std::string& message) {
  Library library({.cudnn_or_own = use});
  const int before = library.mock.state().calls;
  library.mock.state().fail_at = before + call;
  Outcome outcome;
  try {
    outcome = library.run() ? Outcome::kCudnn : Outcome::kOwn;
  } catch (const CudaError& error) {
    message = error.what();
    outcome = Outcome::kError;
  }
  calls = library.mock.state().calls - before;
  return outcome;
}

// Whatever call fails while a graph is built or timed, our own kernels take over; when it runs, the
// error is thrown, because nobody knows what has been written.
TEST(CudnnRival, AnErrorAtAnyCallLeavesOurOwnKernelsOrOneClearMessage) {
  for (CudnnUse use : {CudnnUse::kFastest, CudnnUse::kCudnn}) {
    int calls = 0;
    std::string message;
    ASSERT_EQ(outcome_with_failing_call(use, 1 << 20, calls, message), Outcome::kCudnn);
    const int all = calls;
    ASSERT_GT(all, 50);
    int own = 0, errors = 0;
    for (int call = 0; call < all; ++call) {
      const Outcome outcome = outcome_with_failing_call(use, call, calls, message);
      own += outcome == Outcome::kOwn;
      if (outcome != Outcome::kError) {
        EXPECT_EQ(errors, 0) << "building comes before running";
        continue;
      }
      ++errors;
      EXPECT_THAT(message, HasSubstr("failed, CUDNN_STATUS_INTERNAL_ERROR"));
      EXPECT_THAT(message, ::testing::AnyOf(StartsWith("batch_norm: "), StartsWith("cudnn: ")));
    }
    EXPECT_GT(own, 50);
    EXPECT_GT(errors, 3);
  }
}

}  // namespace
}  // namespace trireme::kernels
