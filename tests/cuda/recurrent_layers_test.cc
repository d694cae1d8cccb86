// Recurrent layers of cuDNN's on the emulated GPU: what the op table does not ask of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/autograd/backward.h"
#include "core/autograd/checkpointing.h"
#include "core/autograd/no_grad.h"
#include "core/autograd/saved_tensor_hooks.h"
#include "core/base/settings.h"
#include "core/cuda/api.h"
#include "core/cuda/graph.h"
#include "core/nn/recurrent.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "tests/kernels/cudnn_mock.h"
#include "tests/support/environment_variable.h"

namespace trireme::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr Device kGpu{DeviceType::kCuda, 0};
using Values = std::vector<double>;

bool cudnn_is_asked() { return get_setting("TRIREME_CUDNN_OR_OWN") != "own"; }

size_t layers_run() { return CudnnMock::state().executed.size(); }

Values numbers(const Tensor& x) { return to_device(x.detach(), Device{}).to_vector<double>(); }

void expect_near(const std::vector<Values>& got, const std::vector<Values>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(got[i].size(), want[i].size()) << i;
    for (size_t k = 0; k < want[i].size(); ++k) EXPECT_NEAR(got[i][k], want[i][k], 1e-12) << i;
  }
}

constexpr RecurrentConfig kBoth{.in = 3, .hidden = 5, .layers = 2, .directions = Directions::kBoth};

template <typename Net>
Net made(Generator& generator) {
  const TensorOptions options{DType::kF64};
  if constexpr (std::is_same_v<Net, Rnn>) {
    return Net(kBoth, generator, Nonlinearity::kRelu, options);
  } else {
    return Net(kBoth, generator, options);
  }
}

/// y, the last states and all gradients of a network of two layers and directions, f64. All
/// results have a gradient.
template <typename Net>
std::vector<Values> trained(Device device) {
  Generator generator(3);
  Net net = made<Net>(generator);
  const Tensor first = randn({4, 2, 5}, generator, {DType::kF64});
  const Tensor x = to_device(randn({2, 4, 3}, generator, {DType::kF64}), device);
  net.to(device);
  Tensor h0 = to_device(first, device).set_requires_grad();
  Tensor leaf = x;
  leaf.set_requires_grad();
  std::vector<Tensor> results;
  if constexpr (std::is_same_v<Net, Lstm>) {
    Tensor c0 = to_device(first * 0.5, device).set_requires_grad();
    const auto [y, state] = net.forward(leaf, {h0, c0});
    results = {y, state.h, state.c};
    backward(sum(square(y)) + sum(state.h * 0.3) + sum(square(state.c)));
    results.push_back(c0.grad());
  } else {
    const auto [y, h] = net.forward(leaf, h0);
    results = {y, h};
    backward(sum(square(y)) + sum(h * 0.3));
  }
  results.push_back(leaf.grad());
  results.push_back(h0.grad());
  for (const auto& [name, p] : net.named_parameters()) results.push_back(p.grad());
  std::vector<Values> values;
  for (const Tensor& r : results) values.push_back(numbers(r));
  return values;
}

template <typename Net>
void expect_equals_the_cpu() {
  const size_t before = layers_run();
  expect_near(trained<Net>(kGpu), trained<Net>(Device{}));
  EXPECT_EQ(layers_run() - before, cudnn_is_asked() ? 4u : 0u);
}

TEST(RecurrentLayers, OfTwoDirectionsEqualTheCpus) {
  expect_equals_the_cpu<Lstm>();
  expect_equals_the_cpu<Gru>();
  expect_equals_the_cpu<Rnn>();
}

TEST(RecurrentLayers, WithLengthsAreOurOwn) {
  Generator generator(3);
  Lstm net(kBoth, generator);
  net.to(kGpu);
  const size_t before = layers_run();
  net.forward(ones({2, 4, 3}, {DType::kF32, kGpu}), {},
              to_device(from_vector<int64_t>({2, 0}, {2}), kGpu));
  EXPECT_EQ(layers_run(), before);
}

TEST(RecurrentLayers, AreNoGraphsWithoutAGradientToCome) {
  Generator generator(3);
  Lstm net(kBoth, generator, {DType::kF64});
  const Tensor x = randn({2, 4, 3}, generator, {DType::kF64});
  const Values want = numbers(net.forward(x).y);
  net.to(kGpu);
  const NoGrad guard;
  expect_near({numbers(net.forward(to_device(x, kGpu)).y)}, {want});
}

// cuDNN spoils its reserve in backward; ours keeps it.
TEST(RecurrentLayers, CanBeDifferentiatedTwice) {
  Generator generator(3);
  Gru net({.in = 3, .hidden = 5}, generator, {DType::kF64});
  net.to(kGpu);
  Tensor x = to_device(randn({2, 4, 3}, generator, {DType::kF64}), kGpu).set_requires_grad();
  const Tensor loss = sum(square(net.forward(x).y));
  backward(loss, {.retain_graph = true});
  Values once = numbers(x.grad());
  backward(loss);
  for (double& v : once) v *= 2;
  expect_near({numbers(x.grad())}, {once});
}

TEST(RecurrentLayers, TakeOperandsThatAreNotAligned) {
  Generator generator(3);
  Gru net({.in = 3, .hidden = 5}, generator, {DType::kF64});
  const Tensor all = randn({3, 1, 5}, generator, {DType::kF64});
  const Tensor x = randn({2, 1, 3}, generator, {DType::kF64});
  const auto results = [&](const Tensor& states, const Tensor& of) {
    std::vector<Values> values;
    for (int64_t i = 0; i < 3; ++i) {
      const Tensor h0 = slice(states, 0, i, i + 1);
      const auto [y, h] = net.forward(slice(of, 0, i % 2, i % 2 + 1), h0);
      values.push_back(numbers(y));
    }
    return values;
  };
  const auto want = results(all, x);
  net.to(kGpu);
  expect_near(results(to_device(all, kGpu), to_device(x, kGpu)), want);
}

// Hooks give back what they kept wherever they kept it.
TEST(RecurrentLayers, TakeSavedTensorsThatAreNotAligned) {
  const std::vector<Values> want = trained<Lstm>(Device{});
  const SavedTensorHooks hooks([](const Tensor& x) -> SavedTensorHooks::Unpack {
    const Tensor longer = empty({x.numel() + 1}, {x.dtype(), x.device()});
    const Tensor kept = reshape(slice(longer, 0, 1, x.numel() + 1), x.shape());
    copy_inplace(kept, x);
    return [kept] { return kept; };
  });
  expect_near(trained<Lstm>(kGpu), want);
}

TEST(RecurrentLayers, AreReplayedAsTheyWereCaptured) {
  Generator generator(3);
  Lstm net({.in = 3, .hidden = 5}, generator, {DType::kF64});
  net.to(kGpu);
  Tensor x = zeros({2, 4, 3}, {DType::kF64, kGpu}), dx = zeros({2, 4, 3}, {DType::kF64, kGpu});
  x.set_requires_grad();
  const auto step = [&] { copy_inplace(dx, grad({sum(square(net.forward(x).y))}, {x})[0]); };
  const auto put = [&](int number) {
    Generator other(static_cast<uint64_t>(number));
    const NoGrad guard;
    copy_inplace(x, to_device(randn({2, 4, 3}, other, {DType::kF64}), kGpu));
  };
  put(1);
  step();
  const auto graph = cuda::capture(0, step);
  for (int number = 2; number < 4; ++number) {
    put(number);
    step();
    const Values want = numbers(dx);
    fill_inplace(dx, 0);
    graph->replay();
    expect_near({numbers(dx)}, {want});
  }
}

/// How a layer is tried out: on a device whose time only grows, what is timed first, cuDNN, is the
/// fastest; where all take as long, it is our own kernels.
struct Trial {
  bool time_grows, is_checkpointed;

  /// No other layer has as many units, so nothing has been chosen for it.
  int64_t hidden() const { return 20 + 2 * time_grows + is_checkpointed; }
  /// Runs that are timed, and then those of the step.
  size_t runs() const { return 4 + (time_grows ? 1 + is_checkpointed : 0); }

  cuda::Api clock() const {
    static float now = 0;
    cuda::Api table = cuda::api();
    if (!time_grows) return table;
    table.event_elapsed_time = [](float* ms, cudaEvent_t, cudaEvent_t) {
      *ms = ++now;
      return cudaSuccess;
    };
    return table;
  }

  /// y and all gradients of one step.
  std::vector<Values> trained(Device device) const {
    Generator generator(3);
    Lstm net({.in = 3, .hidden = hidden()}, generator, {DType::kF64});
    Tensor x = to_device(randn({2, 4, 3}, generator, {DType::kF64}), device).set_requires_grad();
    net.to(device);
    const auto forward = [&](const std::vector<Tensor>& in) { return net.forward(in[0]).y; };
    const Tensor y = is_checkpointed ? checkpoint(forward, {x}) : forward({x});
    std::vector<Tensor> leaves{x};
    for (const auto& [name, p] : net.named_parameters()) leaves.push_back(p);
    for (const Tensor& leaf : leaves) EXPECT_FALSE(leaf.grad().defined());
    backward(sum(square(y)));
    std::vector<Values> values{numbers(y)};
    for (const Tensor& leaf : leaves) values.push_back(numbers(leaf.grad()));
    return values;
  }
};

TEST(RecurrentLayers, LeaveNoTraceOfBeingTriedOut) {
  const EnvironmentVariable tune("TRIREME_TUNE", "on"), use("TRIREME_CUDNN_OR_OWN", "fastest");
  for (const bool time_grows : {false, true}) {
    for (const bool is_checkpointed : {false, true}) {
      const Trial trial{time_grows, is_checkpointed};
      const cuda::ScopedApi scope(trial.clock());
      const size_t before = layers_run();
      // A thread has libraries of its own, which read the settings anew.
      std::thread([&] { expect_near(trial.trained(kGpu), trial.trained(Device{})); }).join();
      EXPECT_EQ(layers_run() - before, trial.runs()) << time_grows << is_checkpointed;
    }
  }
}

/// The network trained with the given call of cuDNN failing; what was thrown.
std::string message_with_failing_call(int call, int& calls, std::vector<Values>& values) {
  CudnnMockState& mock = CudnnMock::state();
  std::string message;
  // A thread has a cuDNN of its own.
  std::thread([&] {
    const int before = mock.calls;
    mock.fail_at = before + call;
    try {
      values = trained<Lstm>(kGpu);
    } catch (const CudaError& error) {
      message = error.what();
    }
    calls = mock.calls - before;
  }).join();
  mock.fail_at = -1;
  return message;
}

// Without a cuDNN our own kernels take over; an error of a layer that was chosen before is thrown.
TEST(RecurrentLayers, AFailingCallLeavesTheSameResultsOrOneClearMessage) {
  if (!cudnn_is_asked()) return;
  const std::vector<Values> want = trained<Lstm>(Device{});
  int all = 0, calls = 0, errors = 0;
  std::vector<Values> values;
  ASSERT_EQ(message_with_failing_call(1 << 20, all, values), "");
  ASSERT_GT(all, 100);
  for (int call = 0; call < all; ++call) {
    const std::string message = message_with_failing_call(call, calls, values);
    if (message.empty()) {
      expect_near(values, want);
      continue;
    }
    ++errors;
    EXPECT_THAT(message, HasSubstr("failed, CUDNN_STATUS_INTERNAL_ERROR"));
    EXPECT_THAT(message, ::testing::AnyOf(StartsWith("lstm: "), StartsWith("cudnn: ")));
  }
  EXPECT_GT(errors, 100);
}

}  // namespace
}  // namespace trireme::testing
