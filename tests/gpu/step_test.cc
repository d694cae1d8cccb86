// Whole training steps on a device: the CPU's losses, no waits, no growth, and replays.

#include <gmock/gmock.h>

#include <vector>

#include "core/amp/autocast.h"
#include "core/autograd/backward.h"
#include "core/cuda/graph.h"
#include "core/cuda/stream.h"
#include "core/models/gpt.h"
#include "core/models/lstm.h"
#include "core/models/mlp.h"
#include "core/models/resnet.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "core/optim/clip.h"
#include "core/optim/sgd.h"
#include "core/tensor/allocator.h"
#include "core/tensor/transfer.h"
#include "tests/gpu/api_calls.h"
#include "tests/gpu/gpu_test.h"

namespace trireme::testing {
namespace {

class GpuStep : public GpuTest {};

/// A small GPT that learns one batch with AdamW and clipped gradients.
struct SmallGpt {
  explicit SmallGpt(Device device, DType autocast_dtype = DType::kF32)
      : dtype(autocast_dtype),
        generator(1),
        model({.vocab_size = 61, .context = 8, .layers = 2, .heads = 2, .dim = 32}, generator) {
    model.to(device);
    optimizer =
        std::make_unique<AdamW>(decay_matrices_only(model.named_parameters(), 0.1), AdamOptions{});
    std::vector<int64_t> ids(2 * 8);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(7 * i * i % 61);
    inputs = from_vector(ids, {2, 8}, device);
  }
  Tensor step() {
    const Tensor loss = [&] {
      const Autocast autocast(dtype);
      return model.loss(inputs, inputs);
    }();
    backward(loss);
    optimizer->step(clip_grad_norm(optimizer->parameters(), 1.0).factor);
    optimizer->zero_grad();
    return loss;
  }

  DType dtype;
  Generator generator;
  Gpt model;
  std::unique_ptr<AdamW> optimizer;
  Tensor inputs;
};

std::vector<double> losses_of(SmallGpt gpt, int steps) {
  std::vector<double> losses;
  for (int i = 0; i < steps; ++i) losses.push_back(gpt.step().item());
  return losses;
}

void expect_close(const std::vector<double>& got, const std::vector<double>& want,
                  double relative) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], relative * want[i]) << "step " << i + 1;
  }
}

TEST_F(GpuStep, AGptHasTheLossesOfTheCpu) {
  constexpr int kSteps = 5;
  const std::vector<double> want = losses_of(SmallGpt(Device{}), kSteps);
  EXPECT_LT(want.back(), want.front());
  expect_close(losses_of(SmallGpt(gpu()), kSteps), want, 1e-4);
  expect_close(losses_of(SmallGpt(gpu(), DType::kBF16), kSteps), want, 2e-2);
}

TEST_F(GpuStep, AResNetHasTheLossesOfTheCpu) {
  const auto losses = [](Device device) {
    Generator generator(1);
    ResNetConfig config = resnet_config(18);
    config.width = 8;
    ResNet model(config, generator);
    model.to(device);
    Sgd optimizer({{model.named_parameters(), {}}}, {.lr = 0.01, .momentum = 0.9});
    const Tensor images = to_device(randn({8, 8, 8, 3}, generator), device);
    const Tensor labels = from_vector<int64_t>({0, 1, 2, 3, 4, 5, 6, 7}, {8}, device);
    std::vector<double> values;
    for (int i = 0; i < 2; ++i) {
      const Tensor loss = cross_entropy(model.forward(images), labels);
      backward(loss);
      optimizer.step();
      optimizer.zero_grad();
      values.push_back(loss.item());
    }
    return values;
  };
  expect_close(losses(gpu()), losses(Device{}), 1e-3);
}

TEST_F(GpuStep, MemoryDoesNotGrow) {
  SmallGpt gpt(gpu());
  for (int i = 0; i < 3; ++i) gpt.step();
  const MemoryStats early = memory_stats(gpu());
  for (int i = 0; i < 6; ++i) gpt.step();
  const MemoryStats late = memory_stats(gpu());
  EXPECT_EQ(late.total_allocated_bytes, early.total_allocated_bytes);
  EXPECT_EQ(late.peak_allocated_bytes, early.peak_allocated_bytes);
  EXPECT_EQ(late.reserved_bytes, early.reserved_bytes);
}

TEST_F(GpuStep, TheHostDoesNotWait) {
  SmallGpt gpt(gpu());
  for (int i = 0; i < 3; ++i) gpt.step();
  DelayedScalar loss;
  const int64_t before = cuda::sync_count();
  const ApiCalls waits;
  double last = 0;
  for (int i = 0; i < 3; ++i) {
    if (loss.is_set()) last = loss.get();
    loss.set(gpt.step());
  }
  EXPECT_EQ(cuda::sync_count(), before);
  EXPECT_EQ(waits.stream_waits(), 0);
  EXPECT_EQ(waits.event_waits(), 2) << "for the losses that were read, and nothing else";
  EXPECT_GT(last, 0);
}

/// The losses of six steps of a model, each by itself or as a replay of one that was captured.
template <typename Loss>
std::vector<double> losses_of(const Module& model, Device device, bool replays, const Loss& value) {
  Sgd optimizer({{model.named_parameters(), {}}}, {.lr = 0.05, .momentum = 0.9});
  if (replays) optimizer.keep_schedule_on_device();
  Tensor loss;
  const auto step = [&] {
    const Tensor now = value();
    backward(now);
    optimizer.step();
    optimizer.zero_grad();
    loss = now.detach();
  };
  for (int i = 0; i < 3; ++i) step();
  const auto graph = replays ? cuda::capture(device.index, step) : nullptr;
  std::vector<double> values;
  for (int i = 0; i < 6; ++i) {
    if (graph) {
      graph->replay();
    } else {
      step();
    }
    values.push_back(loss.item());
  }
  return values;
}

TEST_F(GpuStep, ReplaysEqualStepsOneByOne) {
  const auto losses = [](Device device, bool replays) {
    Generator generator(1);
    Mlp model({.sizes = {20, 64, 10}}, generator);
    model.to(device);
    const Tensor x = to_device(randn({16, 20}, generator), device);
    std::vector<int64_t> classes;
    for (int64_t i = 0; i < 16; ++i) classes.push_back(i % 10);
    const Tensor labels = from_vector(classes, {16}, device);
    return losses_of(model, device, replays,
                     [&] { return cross_entropy(model.forward(x), labels); });
  };
  EXPECT_EQ(losses(gpu(), true), losses(gpu(), false));
}

TEST_F(GpuStep, ReplaysOfAnLstmEqualStepsOneByOne) {
  const auto losses = [](Device device, bool replays) {
    Generator generator(1);
    LstmLanguageModel model({.vocab_size = 61, .layers = 2, .dim = 32}, generator);
    model.to(device);
    std::vector<int64_t> ids(4 * 12);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(7 * i * i % 61);
    const Tensor inputs = from_vector(ids, {4, 12}, device);
    return losses_of(model, device, replays, [&] { return model.loss(inputs, inputs); });
  };
  const std::vector<double> replayed = losses(gpu(), true);
  EXPECT_LT(replayed.back(), replayed.front());
  EXPECT_EQ(replayed, losses(gpu(), false));
}

}  // namespace
}  // namespace trireme::testing
