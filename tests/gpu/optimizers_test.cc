// Every optimizer, averages of weights and clipping on a device beside the CPU.

#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/gradient_slot.h"
#include "core/ops/ops.h"
#include "core/optim/clip.h"
#include "core/optim/ema.h"
#include "core/tensor/transfer.h"
#include "tests/gpu/api_calls.h"
#include "tests/gpu/gpu_test.h"
#include "tests/optim/every_optimizer.h"

namespace trireme::testing {
namespace {

/// A matrix of several chunks, one whose rows are not aligned to packs, and a vector.
StateDict weights(DType dtype, Device device) {
  Generator generator(3);
  StateDict result;
  for (const Shape& shape : {Shape{130, 140}, Shape{7, 5}, Shape{9}}) {
    Tensor w = to_device(clone_detached(cast(randn(shape, generator), dtype)), device);
    w.set_requires_grad();
    result.emplace_back("p" + std::to_string(result.size()), w);
  }
  return result;
}

void set_gradients(const StateDict& weights, uint64_t seed) {
  Generator generator(seed);
  for (const auto& [name, w] : weights) {
    const Tensor g = cast(randn(w.shape(), generator), w.dtype());
    set_gradient(w, to_device(g, w.device()));
  }
}

std::vector<double> values_of(const StateDict& dict) {
  std::vector<double> all;
  for (const auto& [name, w] : dict) {
    if (name.starts_with("updates.")) continue;
    for (double v : to(w.detach(), DType::kF64).to_vector<double>()) all.push_back(v);
  }
  return all;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double relative,
                 const char* what) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], relative * std::max(1.0, std::abs(want[i]))) << what << " " << i;
  }
}

class GpuOptimizer : public GpuTest, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, GpuOptimizer, ::testing::ValuesIn(names_of_optimizers()),
                         [](const auto& instance) { return instance.param; });

TEST_P(GpuOptimizer, StepsAsOnTheCpu) {
  struct Case {
    DType dtype;
    MasterWeights master;
    double relative;
  };
  // Rounded at random, an element in many may come out on the other side of a unit.
  for (const auto& [dtype, master, relative] :
       {Case{DType::kF32, MasterWeights::kF32, 2e-5}, Case{DType::kF64, MasterWeights::kF32, 2e-5},
        Case{DType::kBF16, MasterWeights::kF32, 8e-3}, Case{DType::kF16, MasterWeights::kF32, 1e-3},
        Case{DType::kBF16, MasterWeights::kStochastic, 1.6e-2}}) {
    const StateDict here = weights(dtype, {}), there = weights(dtype, gpu());
    const auto on_cpu = every_optimizer().at(GetParam())(here, master, 0.1);
    const auto on_gpu = every_optimizer().at(GetParam())(there, master, 0.1);
    int waits = 0;
    for (uint64_t step = 0; step < 3; ++step) {
      set_gradients(here, 50 + step);
      set_gradients(there, 50 + step);
      on_cpu->step(clip_grad_norm(here, 10).factor);
      const ApiCalls of_step;
      on_gpu->step(clip_grad_norm(there, 10).factor);
      // The first step may time the products of Muon.
      if (step > 0) waits += of_step.stream_waits() + of_step.event_waits();
    }
    EXPECT_EQ(waits, 0) << "the host waits for no norm";
    // Muon's products are in f32, whatever the weights are.
    const bool in_f64 = dtype == DType::kF64 && GetParam() != "muon";
    expect_near(values_of(there), values_of(here), in_f64 ? 1e-11 : relative, "weight");
    if (master == MasterWeights::kStochastic) continue;
    // f32 accumulates in other orders.
    expect_near(values_of(on_gpu->state_dict()), values_of(on_cpu->state_dict()),
                in_f64 ? 1e-11 : 1e-4, "state");
  }
}

TEST_P(GpuOptimizer, LeavesOutGradientsThatAreNotFinite) {
  const StateDict there = weights(DType::kF32, gpu());
  const auto optimizer = every_optimizer().at(GetParam())(there, MasterWeights::kF32, 0.1);
  set_gradients(there, 1);
  optimizer->step();
  const auto before = values_of(there), state = values_of(optimizer->state_dict());
  set_gradient(there[1].second, full({7, 5}, std::nan(""), {DType::kF32, gpu()}));
  optimizer->step(clip_grad_norm(there, 1).factor);
  EXPECT_EQ(values_of(there), before);
  EXPECT_EQ(values_of(optimizer->state_dict()), state);
}

class GpuAverages : public GpuTest {};
TEST_F(GpuAverages, AveragesAsOnTheCpu) {
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    std::vector<double> averages[2];
    for (Device device : {Device{}, gpu()}) {
      StateDict w = weights(dtype, device);
      ExponentialMovingAverage ema(w, {.decay = 0.5});
      for (const auto& [name, p] : w) copy_inplace(p.detach(), mul(p.detach(), 3.0));
      ema.update();
      averages[device.is_cpu() ? 0 : 1] = values_of(ema.averages());
      const auto own = values_of(w);
      {
        const auto applied = ema.apply();
        EXPECT_NE(values_of(w), own);
      }
      EXPECT_EQ(values_of(w), own);
    }
    expect_near(averages[1], averages[0], 1e-6, "average");
  }
}

class GpuClip : public GpuTest {};
TEST_F(GpuClip, KeepsToItsPolicy) {
  const StateDict there = weights(DType::kF32, gpu());
  set_gradient(there[2].second, full({9}, INFINITY, {DType::kF32, gpu()}));
  EXPECT_EQ(clip_grad_norm(there, 1, 2, NonFinite::kSkip).factor.item(), 0);
  EXPECT_EQ(clip_grad_norm(there, 1, 2, NonFinite::kIgnore).factor.item(), 0.5);
  EXPECT_THROW(clip_grad_norm(there, 1, 2, NonFinite::kError), Error);
}

}  // namespace
}  // namespace trireme::testing
