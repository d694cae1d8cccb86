// What an op costs besides its arithmetic: chains of 100 ops on 4-element tensors, recorded and run
// backward on one thread. Time per op; the limit worth comparing with is a minimal tape without
// dtypes or broadcasting, about 30 ns per op.
//
//   build/release/bin/op_overhead_benchmark

#include <benchmark/benchmark.h>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

constexpr int kChain = 100;

void per_op(benchmark::State& state) {
  state.counters["ns_per_op"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kChain * 1e-9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <typename Op>
void forward_backward(benchmark::State& state, const Op& op) {
  Tensor x = ones({4}).set_requires_grad();
  const Tensor dy = ones({4});
  for (auto _ : state) {
    Tensor y = x;
    for (int i = 0; i < kChain; ++i) y = op(y);
    backward(y, {.gradient = dy});
    x.zero_grad();
  }
  per_op(state);
}

void add_forward_backward(benchmark::State& state) {
  const Tensor b = full({4}, 1e-3);
  forward_backward(state, [&](const Tensor& y) { return y + b; });
}
BENCHMARK(add_forward_backward);

void mul_forward_backward(benchmark::State& state) {
  const Tensor b = full({4}, 1.001);
  forward_backward(state, [&](const Tensor& y) { return y * b; });
}
BENCHMARK(mul_forward_backward);

// Two gradients per op, and the second one is added into a leaf.
void mul_two_gradients(benchmark::State& state) {
  const Tensor b = full({4}, 1.001).set_requires_grad();
  forward_backward(state, [&](const Tensor& y) { return y * b; });
}
BENCHMARK(mul_two_gradients);

void gelu_forward_backward(benchmark::State& state) {
  forward_backward(state, [](const Tensor& y) { return gelu(y, Gelu::kTanh); });
}
BENCHMARK(gelu_forward_backward);

void add_without_graph(benchmark::State& state) {
  NoGrad no_grad;
  const Tensor b = full({4}, 1e-3);
  Tensor y = ones({4});
  for (auto _ : state) {
    for (int i = 0; i < kChain; ++i) y = y + b;
  }
  per_op(state);
}
BENCHMARK(add_without_graph);

}  // namespace
}  // namespace trireme

BENCHMARK_MAIN();
