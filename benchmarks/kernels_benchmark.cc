// CPU kernels against what this machine can do: a loop of fused multiply-adds in registers for
// GFLOP/s, a copy of 64 MiB by streaming stores for GB/s. Shapes are those of a GPT 256 wide with
// batch 8, context 256 (2048 rows); row kernels also run on 64 MiB of f32 (65536 rows). `of_peak`
// is the share of the measured limit; rows that fit into the caches may exceed that of memory.
// gpt_kernels_benchmark is the one for GPUs.
//
//   build/release/bin/kernels_benchmark --threads=2
//
// Flags of Google Benchmark, such as --benchmark_filter=matmul, work too.

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "benchmarks/own_flag.h"
#include "core/base/parallel_for.h"
#include "core/base/philox.h"
#include "kernels/attention.h"
#include "kernels/cross_entropy.h"
#include "kernels/cross_entropy_inplace.h"
#include "kernels/dropout.h"
#include "kernels/global_norm.h"
#include "kernels/layer_norm.h"
#include "kernels/matmul.h"
#include "kernels/optimizer_rules.h"
#include "kernels/pointwise.h"
#include "kernels/simd.h"
#include "kernels/softmax.h"
#include "kernels/stream_store.h"

namespace trireme::kernels {
namespace {

constexpr int64_t kRows = 2048, kWidth = 256;
constexpr int64_t kManyRows = 65536;  // 64 MiB of f32

struct Peak {
  double flops = 0;             // per second, all threads
  double bytes_per_second = 0;  // read plus written
};
Peak peak;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Best of several runs of `work` split among all threads.
template <typename Fn>
double best_seconds(const Fn& work) {
  double best = 1e9;
  for (int i = 0; i < 10; ++i) {
    const double start = seconds();
    parallel_for(num_threads(), 1, work);
    best = std::min(best, seconds() - start);
  }
  return best;
}

/// As tensors have it: aligned, and in huge pages where it is large.
template <typename T>
struct HugePages {
  using value_type = T;
  T* allocate(size_t count) {
    constexpr size_t kPage = size_t{2} << 20;
    const size_t bytes = (count * sizeof(T) + kPage - 1) / kPage * kPage;
    void* block = std::aligned_alloc(kPage, bytes);
    if (!block) throw std::bad_alloc();
    ::madvise(block, bytes, MADV_HUGEPAGE);
    return static_cast<T*>(block);
  }
  void deallocate(T* block, size_t /*count*/) { std::free(block); }
  bool operator==(const HugePages&) const { return true; }
};
template <typename T>
using Array = std::vector<T, HugePages<T>>;

template <typename T = float>
Array<T> draw(int64_t count) {
  Generator generator(1);
  Array<T> values(static_cast<size_t>(count));
  for (T& v : values) v = T(generator.next_uniform() - 0.5);
  return values;
}

Peak measure_peak() {
  constexpr int64_t kSteps = 4'000'000;
  constexpr int kChains = 12;  // enough to hide the latency of two units
  const double compute = best_seconds([](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      Vec<float> sum[kChains] = {};
      Vec<float> x = broadcast(1.0000001f);
      benchmark::DoNotOptimize(x);
      for (int64_t i = 0; i < kSteps; ++i) {
        for (Vec<float>& s : sum) s = s * x + x;
      }
      for (Vec<float>& s : sum) benchmark::DoNotOptimize(s);
    }
  });
  const int64_t bytes = int64_t{64} << 20;
  const Array<char> from(static_cast<size_t>(bytes), 1);
  Array<char> to(from.size(), 2);
  const double copy = best_seconds([&](int64_t begin, int64_t end) {
    const int64_t n = num_threads();
    stream_row(to.data() + bytes * begin / n, from.data() + bytes * begin / n,
               bytes * end / n - bytes * begin / n);
    stream_fence();
  });
  return {2.0 * kSteps * kChains * kLanes<float> * num_threads() / compute,
          2.0 * static_cast<double>(bytes) / copy};
}

/// Runs `work` as often as the library asks; wall-clock seconds per call.
template <typename Fn>
double seconds_per_call(benchmark::State& state, const Fn& work) {
  const double start = seconds();
  for (auto _ : state) work();
  return (seconds() - start) / static_cast<double>(state.iterations());
}
void report_flops(benchmark::State& state, double per_call, double flops) {
  state.counters["GFLOP/s"] = flops / per_call * 1e-9;
  state.counters["of_peak"] = flops / per_call / peak.flops;
}
void report_bytes(benchmark::State& state, double per_call, int64_t bytes) {
  const double rate = static_cast<double>(bytes) / per_call;
  state.counters["GB/s"] = rate * 1e-9;
  state.counters["of_peak"] = rate / peak.bytes_per_second;
}

enum Transposed : int64_t { kNone, kLeft, kRight };

/// Arguments: m, k, n, which operand is read transposed. `of_peak` is of the f32 limit.
template <typename T>
void matmul_of(benchmark::State& state) {
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2), form = state.range(3);
  const auto a = draw<T>(m * k), b = draw<T>(k * n);
  std::vector<T> c(static_cast<size_t>(m * n));
  const StridedView<const T> va{a.data(), {m, k}, form == kLeft ? Strides{1, m} : Strides{k, 1}};
  const StridedView<const T> vb{b.data(), {k, n}, form == kRight ? Strides{1, k} : Strides{n, 1}};
  const double per_call = seconds_per_call(state, [&] {
    matmul(Cpu{}, va, vb, StridedView<T>{c.data(), {m, n}, {n, 1}});
  });
  report_flops(state, per_call, 2.0 * static_cast<double>(m * n * k));
}
void matmul_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "k", "n", "transposed"})
      ->Args({kRows, kWidth, 3 * kWidth, kNone})   // y = x W, attention in
      ->Args({kRows, kWidth, 4 * kWidth, kNone})   // y = x W, MLP in
      ->Args({kRows, 4 * kWidth, kWidth, kNone})   // y = x W, MLP out
      ->Args({kRows, 3 * kWidth, kWidth, kRight})  // dx = dy W^T
      ->Args({kRows, 4 * kWidth, kWidth, kRight})
      ->Args({kWidth, kRows, 3 * kWidth, kLeft})  // dW = x^T dy
      ->Args({kWidth, kRows, 4 * kWidth, kLeft})
      ->Args({4 * kWidth, kRows, kWidth, kLeft})
      ->Args({32, 32, 32, kNone})
      ->Args({64, 64, 64, kNone})
      ->Args({128, 128, 128, kNone})
      ->Args({2048, 2048, 2048, kNone});
}
BENCHMARK(matmul_of<float>)->Name("matmul_f32")->Apply(matmul_shapes);
BENCHMARK(matmul_of<BFloat16>)->Name("matmul_bf16")->Apply(matmul_shapes);
BENCHMARK(matmul_of<Float16>)
    ->Name("matmul_f16")
    ->ArgNames({"m", "k", "n", "transposed"})
    ->Args({kRows, kWidth, 4 * kWidth, kNone});

/// batch 8, context 256, 4 heads of 64 out of one packed projection.
template <typename T>
struct Attention {
  int64_t batch = 8, heads = 4, time = 256, dim = 64, width = heads * dim;
  Array<T> qkv = draw<T>(batch * time * 3 * width), out = draw<T>(batch * time * width),
           dout = draw<T>(batch * time * width), dqkv = qkv;
  std::vector<float> lse = std::vector<float>(static_cast<size_t>(batch * heads * time));
  AttentionSpec<T> spec{.scale = 0.125, .causal = true};

  StridedView<T> part(Array<T>& x, int64_t which, int64_t parts) const {
    return {x.data() + which * width,
            {batch, heads, time, dim},
            {time * parts * width, dim, parts * width, 1}};
  }
  void forward() {
    attention<T>(Cpu{}, part(qkv, 0, 3), part(qkv, 1, 3), part(qkv, 2, 3), spec, part(out, 0, 1),
                 lse.data());
  }
  void backward() {
    attention_backward<T>(Cpu{}, part(qkv, 0, 3), part(qkv, 1, 3), part(qkv, 2, 3), spec,
                          part(out, 0, 1), lse.data(), part(dout, 0, 1),
                          {part(dqkv, 0, 3), part(dqkv, 1, 3), part(dqkv, 2, 3)});
  }
  /// Of one product, without what the mask removes.
  double useful_flops() const { return double(batch * heads * dim * time * (time + 1)); }
};
template <typename T>
void attention_forward(benchmark::State& state) {
  Attention<T> a;
  report_flops(state, seconds_per_call(state, [&] { a.forward(); }), 2 * a.useful_flops());
}
template <typename T>
void attention_backward(benchmark::State& state) {
  Attention<T> a;
  a.forward();
  report_flops(state, seconds_per_call(state, [&] { a.backward(); }), 5 * a.useful_flops());
}
BENCHMARK(attention_forward<float>)->Name("attention_forward_f32");
BENCHMARK(attention_forward<BFloat16>)->Name("attention_forward_bf16");
BENCHMARK(attention_backward<float>)->Name("attention_backward_f32");
BENCHMARK(attention_backward<BFloat16>)->Name("attention_backward_bf16");

/// A kernel over [rows, 256] that reads and writes `arrays` such matrices, each counted once.
template <typename T, typename Fn>
void by_rows(benchmark::State& state, int64_t arrays, const Fn& fn) {
  const int64_t rows = state.range(0), count = rows * kWidth;
  const auto x = draw<T>(count);
  Array<T> y(x.size());
  const double per_call = seconds_per_call(state, [&] {
    fn(MatrixView<const T>{x.data(), rows, kWidth, kWidth},
       MatrixView<T>{y.data(), rows, kWidth, kWidth});
  });
  report_bytes(state, per_call, arrays * count * static_cast<int64_t>(sizeof(T)));
}

/// What memory does, beside the rows that should reach it.
template <bool streamed>
void copy_rows(benchmark::State& state) {
  by_rows<float>(state, 2, [](auto x, auto y) {
    parallel_for(x.rows, kSerialElements / kWidth, [&](int64_t begin, int64_t end) {
      const int64_t count = (end - begin) * x.cols;
      if constexpr (streamed) {
        stream_row(y.row(begin), x.row(begin), count);
        stream_fence();
      } else {
        std::memcpy(y.row(begin), x.row(begin), static_cast<size_t>(count) * sizeof(float));
      }
    });
  });
}
BENCHMARK(copy_rows<false>)->Name("memcpy")->Arg(kManyRows);
BENCHMARK(copy_rows<true>)->Name("streamed_copy")->Arg(kManyRows);

template <typename T>
void softmax_rows(benchmark::State& state) {
  by_rows<T>(state, 2, [](auto x, auto y) { softmax(Cpu{}, x, y); });
}
template <typename T>
void softmax_gradients(benchmark::State& state) {
  const auto dy = draw<T>(state.range(0) * kWidth);
  by_rows<T>(state, 3, [&](auto y, auto dx) {
    softmax_backward(Cpu{}, y, MatrixView<const T>{dy.data(), y.rows, y.cols, y.cols}, dx);
  });
}
template <typename T>
void layer_norm_rows(benchmark::State& state) {
  const std::vector<T> factor(kWidth, T(1.0f));
  std::vector<float> mean(static_cast<size_t>(state.range(0))), rstd = mean;
  by_rows<T>(state, 2, [&](auto x, auto y) {
    layer_norm(Cpu{}, x, factor.data(), factor.data(), 1e-5, y, mean.data(), rstd.data());
  });
}
template <typename T>
void layer_norm_gradients(benchmark::State& state) {
  const auto dy = draw<T>(state.range(0) * kWidth);
  const std::vector<T> factor(kWidth, T(1.0f));
  std::vector<float> mean(static_cast<size_t>(state.range(0))), rstd(mean.size(), 1.0f);
  std::vector<T> sums(2 * kWidth);
  by_rows<T>(state, 3, [&](auto x, auto dx) {
    layer_norm_backward(Cpu{}, x, factor.data(), mean.data(), rstd.data(),
                        MatrixView<const T>{dy.data(), x.rows, x.cols, x.cols}, dx, sums.data(),
                        sums.data() + kWidth);
  });
}
template <typename T>
void cross_entropy_rows(benchmark::State& state) {
  const std::vector<int64_t> targets(static_cast<size_t>(state.range(0)), 3);
  std::vector<float> lse(targets.size()), result(2);
  by_rows<T>(state, 1, [&](auto x, auto /*y*/) {
    cross_entropy<T, int64_t>(Cpu{}, x, targets.data(), -100, lse.data(), result.data());
  });
}
template <typename T>
void cross_entropy_gradients(benchmark::State& state) {
  const std::vector<int64_t> targets(static_cast<size_t>(state.range(0)), 3);
  const std::vector<float> lse(targets.size(), 5.5f), one(2, 1.0f);
  by_rows<T>(state, 2, [&](auto x, auto dx) {
    cross_entropy_backward<T, int64_t>(Cpu{}, x, targets.data(), -100, lse.data(), one.data(),
                                       one.data() + 1, dx);
  });
}
/// Both at once, as a language model has it: one matrix read and written.
template <typename T>
void cross_entropy_inplace(benchmark::State& state) {
  const std::vector<int64_t> targets(static_cast<size_t>(state.range(0)), 3);
  std::vector<float> result(2);
  by_rows<T>(state, 2, [&](auto x, auto y) {
    kernels::cross_entropy_inplace<T, int64_t>(Cpu{}, y, x.cols, targets.data(), -100,
                                               result.data());
  });
}
template <typename T>
void gelu_rows(benchmark::State& state) {
  by_rows<T>(state, 2, [](auto x, auto y) {
    map(Cpu{}, GeluTanh{}, std::array<const T*, 1>{x.data}, y.data, x.rows * x.cols);
  });
}
template <typename T>
void gelu_gradients(benchmark::State& state) {
  const auto dy = draw<T>(state.range(0) * kWidth);
  by_rows<T>(state, 3, [&](auto x, auto dx) {
    map(Cpu{}, GradOf<GeluTanh>{}, std::array<const T*, 2>{dy.data(), x.data}, dx.data,
        x.rows * x.cols);
  });
}
template <typename T>
void add_rows(benchmark::State& state) {
  by_rows<T>(state, 2, [](auto x, auto y) {
    map(Cpu{}, Add{}, std::array<const T*, 2>{x.data, x.data}, y.data, x.rows * x.cols);
  });
}
template <typename T>
void dropout_rows(benchmark::State& state) {
  by_rows<T>(state, 2,
             [](auto x, auto y) { dropout(Cpu{}, x.data, y.data, x.rows * x.cols, 0.1, 1, 0); });
}
#define ROWS(kernel)                                                          \
  BENCHMARK(kernel<float>)->Name(#kernel "_f32")->Arg(kRows)->Arg(kManyRows); \
  BENCHMARK(kernel<BFloat16>)->Name(#kernel "_bf16")->Arg(kRows);             \
  BENCHMARK(kernel<Float16>)->Name(#kernel "_f16")->Arg(kRows)
ROWS(softmax_rows);
ROWS(softmax_gradients);
ROWS(layer_norm_rows);
ROWS(layer_norm_gradients);
ROWS(cross_entropy_rows);
ROWS(cross_entropy_gradients);
ROWS(cross_entropy_inplace);
ROWS(gelu_rows);
ROWS(gelu_gradients);
ROWS(add_rows);
ROWS(dropout_rows);

constexpr int64_t kParameters = 100'000'000;  // beyond any cache

void adamw_step(benchmark::State& state) {
  auto param = draw(kParameters), m = param, v = Array<float>(param.size(), 0.1f);
  const auto grad = param;
  const double per_call = seconds_per_call(state, [&] {
    StepSpan<float> span{.count = kParameters, .grad = grad.data(), .param = param.data()};
    span.state[0] = m.data();
    span.state[1] = v.data();
    step_all<float>(Cpu{}, {}, AdamRule{}, {&span, 1});
  });
  report_bytes(state, per_call, 7 * kParameters * static_cast<int64_t>(sizeof(float)));
}
BENCHMARK(adamw_step);
void global_norm(benchmark::State& state) {
  const auto grad = draw(kParameters);
  double sum = 0;
  const double per_call =
      seconds_per_call(state, [&] { add_sum_of_squares(Cpu{}, grad.data(), kParameters, &sum); });
  benchmark::DoNotOptimize(sum);
  report_bytes(state, per_call, kParameters * static_cast<int64_t>(sizeof(float)));
}
BENCHMARK(global_norm);

}  // namespace
}  // namespace trireme::kernels

int main(int argc, char** argv) {
  const int threads = std::atoi(trireme::take_flag(argc, argv, "--threads=", "0").c_str());
  if (threads > 0) trireme::set_num_threads(threads);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  using trireme::kernels::peak;
  peak = trireme::kernels::measure_peak();
  std::printf("measured limits with %d threads: %.0f GFLOP/s f32, %.1f GB/s read plus written\n",
              trireme::num_threads(), peak.flops * 1e-9, peak.bytes_per_second * 1e-9);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
