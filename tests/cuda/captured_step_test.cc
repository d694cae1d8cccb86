// A whole training step captured once and replayed on an emulated GPU: forward, backward,
// all-reduce, norm, clipping and optimizer give what they give step by step.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/cuda/graph.h"
#include "core/models/gpt.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "core/optim/clip.h"
#include "distributed/ddp.h"
#include "distributed/make_communicator.h"
#include "tests/optim/every_optimizer.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Device kGpu{DeviceType::kCuda, 0};
constexpr int kWarmUp = 2, kReplays = 4;

struct TinyTraining {
  TinyTraining() {
    model.to(kGpu);
    ddp.emplace(model, *communicator);
  }

  /// Everything of a step that the device does; reads `ids`, leaves loss and norm.
  void step(Optimizer& optimizer) {
    const Tensor loss = model.loss(ids, ids);
    ddp->backward(loss);
    const GradientNorm g = clip_grad_norm(model.named_parameters(), 0.1);
    optimizer.step(g.factor);
    optimizer.zero_grad();
    copy_inplace(last_loss, loss.detach());
    copy_inplace(last_norm, g.norm);
  }

  /// What the host does before each step: other data, another learning rate.
  void prepare(int number, Optimizer& optimizer) {
    std::vector<int64_t> tokens;
    for (int i = 0; i < 16; ++i) tokens.push_back((i * 7 + number * 3) % 11);
    copy_inplace(ids, from_vector(tokens, {2, 8}));
    optimizer.set_lr(0.01 / (1 + number));
  }

  std::vector<double> numbers() const {
    std::vector<double> all{last_loss.item(), last_norm.item()};
    for (const auto& [name, p] : model.named_parameters()) all.push_back(sum(square(p)).item());
    return all;
  }

  Generator generator{1};
  Gpt model{{.vocab_size = 11, .context = 8, .layers = 1, .heads = 2, .dim = 16}, generator};
  std::unique_ptr<Communicator> communicator =
      make_communicator({.run_id = "test", .timeout = {}, .device = kGpu});
  std::optional<DistributedDataParallel> ddp;
  Tensor ids = zeros({2, 8}, {DType::kI64, kGpu});
  Tensor last_loss = zeros({}, {DType::kF32, kGpu}), last_norm = zeros({}, {DType::kF64, kGpu});
};

template <typename MakeOptimizer>
void expect_replays_as_step_by_step(const MakeOptimizer& make_optimizer) {
  TinyTraining eager, captured;
  const auto one = make_optimizer(eager.model), other = make_optimizer(captured.model);
  other->keep_schedule_on_device();
  std::unique_ptr<cuda::Graph> graph;
  for (int i = 0; i < kWarmUp + kReplays; ++i) {
    eager.prepare(i, *one);
    eager.step(*one);
    captured.prepare(i, *other);
    if (i < kWarmUp) {
      captured.step(*other);
    } else {
      if (!graph) graph = cuda::capture(0, [&] { captured.step(*other); });
      graph->replay();
    }
    const std::vector<double> want = eager.numbers(), got = captured.numbers();
    ASSERT_EQ(got.size(), want.size());
    for (size_t k = 0; k < want.size(); ++k) EXPECT_DOUBLE_EQ(got[k], want[k]) << i << " " << k;
  }
  for (const auto& [name, state] : other->state_dict()) {
    if (!name.starts_with("updates.")) continue;
    EXPECT_EQ(state.item(), kWarmUp + kReplays) << name;
  }
}

class CapturedStepOf : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Optimizers, CapturedStepOf,
                         ::testing::ValuesIn(testing::names_of_optimizers()),
                         [](const auto& instance) { return instance.param; });

TEST_P(CapturedStepOf, TrainsAsStepByStep) {
  expect_replays_as_step_by_step([&](const Module& model) {
    return testing::every_optimizer().at(GetParam())(model.named_parameters(), MasterWeights::kF32,
                                                     0.1);
  });
}

TEST(CapturedStep, IsRefusedWhereItWouldFreezeTheSchedule) {
  TinyTraining run;
  AdamW optimizer({{run.model.named_parameters(), {}}}, AdamOptions{});
  run.prepare(0, optimizer);
  run.step(optimizer);
  EXPECT_THAT([&] { cuda::capture(0, [&] { run.step(optimizer); }); },
              ThrowsMessage<CudaError>(
                  AllOf(HasSubstr("optimizer"), HasSubstr("keep_schedule_on_device"))));
  optimizer.keep_schedule_on_device();
  EXPECT_THAT([&] { cuda::capture(0, [&] { optimizer.set_lr(1); }); },
              ThrowsMessage<CudaError>(HasSubstr("cannot be captured")));
}

}  // namespace
}  // namespace trireme
