// How benchmarks time steps on a device.

#include <gmock/gmock.h>

#include <cmath>

#include "benchmarks/gpt_step.h"
#include "benchmarks/step_timing.h"
#include "core/cuda/stream.h"
#include "core/ops/ops.h"
#include "tests/gpu/gpu_test.h"

namespace trireme::testing {
namespace {

class GpuTiming : public GpuTest {};

TEST_F(GpuTiming, WaitsOnceBehindAllSteps) {
  Tensor x = zeros({}, {DType::kF32, gpu()});
  int steps = 0;
  const Step step = [&] {
    ++steps;
    return x = x + 1.0;
  };
  const Step prepared = prepare({.warmup = 2}, gpu(), step);
  EXPECT_EQ(steps, 2);
  const int64_t before = cuda::sync_count();
  EXPECT_GT(seconds_per_step(gpu(), 10, prepared), 0);
  EXPECT_EQ(cuda::sync_count(), before + 1);
  EXPECT_EQ(x.item(), 12);
}

TEST_F(GpuTiming, ReplaysACapturedStep) {
  const Tensor x = zeros({4}, {DType::kF32, gpu()});
  int steps = 0;
  const Step prepared = prepare({.warmup = 1, .graph = true}, gpu(), [&] {
    ++steps;
    add_inplace(x, ones({4}, {DType::kF32, gpu()}));
    return sum(x);
  });
  const int captured = steps;
  EXPECT_EQ(captured, 2);
  seconds_per_step(gpu(), 5, prepared);
  EXPECT_EQ(steps, captured) << "a replay does not run the host's part";
  EXPECT_EQ(prepared().item(), 4 * 8);  // a warm-up, a trial, five timed ones and this one
}

TEST_F(GpuTiming, TheStepOfTheBenchmarkLearnsWhenItIsReplayed) {
  const GptConfig config{.vocab_size = 31, .context = 8, .layers = 1, .heads = 2, .dim = 16};
  GptStep step(config, 2, parse_precision("bf16"), gpu(), nullptr);
  step.keep_schedule_on_device();
  const Step prepared = prepare({.warmup = 1, .graph = true}, gpu(), [&] { return step(); });
  const double first = prepared().item();
  for (int i = 0; i < 3; ++i) prepared();
  EXPECT_LT(prepared().item(), first);
}

// Every precision takes the step that the benchmark times.
TEST_F(GpuTiming, TheStepOfTheBenchmarkLearns) {
  const GptConfig config{.vocab_size = 31, .context = 8, .layers = 1, .heads = 2, .dim = 16};
  for (const char* precision : {"f32", "bf16", "f16", "bf16-pure"}) {
    GptStep step(config, 2, parse_precision(precision), gpu(), nullptr);
    const double first = step().item();
    step();
    const double last = step().item();
    EXPECT_TRUE(std::isfinite(first)) << precision;
    EXPECT_LT(last, first) << precision;
  }
}

}  // namespace
}  // namespace trireme::testing
