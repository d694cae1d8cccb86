// What an op costs besides its arithmetic: chains of 100 ops on 4-element tensors, recorded and run
// backward on one thread.
//
//   build/release/bin/op_overhead_benchmark [--device=cuda]
//
// `ns_per_op` is the host's time: recording and launching. On a GPU the host then waits outside the
// clock, so that its queue never fills; `ns_with_wait` has that wait in it. On the CPU the limit
// worth comparing with is a minimal tape without dtypes or broadcasting, about 30 ns per op; on a
// GPU it is `kernel_alone`, which only fills an existing tensor of 4 elements: what a launch takes.
// benchmarks/compare_pytorch/op_overhead.py does the same from Python.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdio>

#include "benchmarks/own_flag.h"
#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "kernels/fill_copy.h"

namespace trireme {
namespace {

constexpr int kChain = 100;
Device device;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Times `chain`, which queues work.
template <typename Chain>
void per_op(benchmark::State& state, const Chain& chain) {
  double with_wait = 0;
  for (auto _ : state) {
    const double start = seconds();
    chain();
    const double queued = seconds();
    if (!device.is_cpu()) full({}, 0, {DType::kF32, device}).item();
    with_wait += seconds() - start;
    state.SetIterationTime(queued - start);
  }
  state.counters["ns_per_op"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kChain * 1e-9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  if (device.is_cpu()) return;
  state.counters["ns_with_wait"] =
      1e9 * with_wait / (static_cast<double>(state.iterations()) * kChain);
}

template <typename Op>
void forward_backward(benchmark::State& state, const Op& op) {
  Tensor x = ones({4}, {DType::kF32, device}).set_requires_grad();
  const Tensor dy = ones({4}, {DType::kF32, device});
  per_op(state, [&] {
    Tensor y = x;
    for (int i = 0; i < kChain; ++i) y = op(y);
    backward(y, {.gradient = dy});
    x.zero_grad();
  });
}

Tensor constant(double value) { return full({4}, value, {DType::kF32, device}); }

void add_forward_backward(benchmark::State& state) {
  const Tensor b = constant(1e-3);
  forward_backward(state, [&](const Tensor& y) { return y + b; });
}
BENCHMARK(add_forward_backward)->UseManualTime();

void mul_forward_backward(benchmark::State& state) {
  const Tensor b = constant(1.001);
  forward_backward(state, [&](const Tensor& y) { return y * b; });
}
BENCHMARK(mul_forward_backward)->UseManualTime();

// Two gradients per op, and the second one is added into a leaf.
void mul_two_gradients(benchmark::State& state) {
  const Tensor b = constant(1.001).set_requires_grad();
  forward_backward(state, [&](const Tensor& y) { return y * b; });
}
BENCHMARK(mul_two_gradients)->UseManualTime();

void gelu_forward_backward(benchmark::State& state) {
  forward_backward(state, [](const Tensor& y) { return gelu(y, Gelu::kTanh); });
}
BENCHMARK(gelu_forward_backward)->UseManualTime();

void add_without_graph(benchmark::State& state) {
  NoGrad no_grad;
  const Tensor b = constant(1e-3);
  Tensor y = ones({4}, {DType::kF32, device});
  per_op(state, [&] {
    for (int i = 0; i < kChain; ++i) y = y + b;
  });
}
BENCHMARK(add_without_graph)->UseManualTime();

void kernel_alone(benchmark::State& state) {
  const Tensor y = ones({4}, {DType::kF32, device});
  const kernels::AnyView view{y.raw_data(), y.dtype(), y.shape(), y.strides()};
  on_device(device, [&](auto tag) {
    per_op(state, [&] {
      for (int i = 0; i < kChain; ++i) kernels::fill(tag, view, 1);
    });
  });
}
BENCHMARK(kernel_alone)->UseManualTime();

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  try {
    trireme::device = trireme::parse_device(trireme::take_flag(argc, argv, "--device=", "cpu"));
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
    trireme::zeros({1}, {trireme::DType::kF32, trireme::device});  // an error here is one line
    benchmark::RunSpecifiedBenchmarks();
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "op_overhead_benchmark: %s\n", error.what());
    return dynamic_cast<const trireme::CudaError*>(&error) ? 72 : 64;
  }
  return 0;
}
