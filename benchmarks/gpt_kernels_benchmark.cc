// The kernels of a GPT training step at its shapes, on any device: GB/s of those that memory
// bounds and TFLOP/s of products and attention, each beside the limit.
//
//   gpt_kernels_benchmark --device cuda [--dtype bf16] [--batch 64] [--dim 768] [--only gelu]
//
// The limits are measured first: a copy of 1 GiB for GB/s, read plus written, and a square product
// for TFLOP/s; --peak-gbps and --peak-tflops give others (H200: 4800 and 989 on its data sheet).
// Calls are queued one behind the other until they take --seconds, with one wait at their end.
// What a kernel reads and writes is counted once per array. On the CPU take small sizes:
//
//   build/release/bin/gpt_kernels_benchmark --batch 1 --context 256 --dim 256 --vocab 1024

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "benchmarks/step_timing.h"
#include "core/base/device_tag.h"
#include "core/base/parallel_for.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "distributed/device_of_rank.h"
#include "kernels/attention.h"
#include "kernels/cross_entropy_inplace.h"
#include "kernels/gelu_gradient.h"
#include "kernels/global_norm.h"
#include "kernels/matmul.h"
#include "kernels/matmul_gelu.h"
#include "kernels/optimizer_rules.h"
#include "kernels/pointwise.h"
#include "kernels/reduce.h"
#include "kernels/residual_layer_norm.h"

namespace trireme {
namespace {

struct Options {
  std::string device = "cpu", dtype = "bf16", only;
  int64_t batch = 64, context = 1024, dim = 768, heads = 12, vocab = 50304;
  int64_t parameters = 0;  // of adamw; 0: of GPT-2 with `dim`
  double seconds = 0.1;
  double peak_gbps = 0, peak_tflops = 0;
  bool json = false;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Runs and prints kernels one by one. Everything it makes is freed behind each.
template <typename T>
class Suite {
 public:
  Suite(const Options& o, Device device) : o_(o), device_(device), generator_(1) {}

  void run() {
    measure_limits();
    bandwidth_bound();
    products();
    attention();
    if (o_.json) print_json(result_);
  }

 private:
  using Work = std::function<void()>;

  void wait() { full({}, 0, {DType::kF32, device_}).item(); }

  double seconds_of(const Work& work) {
    work();
    work();  // libraries have chosen their algorithm
    wait();
    for (int64_t calls = 1;; calls *= 4) {
      const double start = now();
      for (int64_t i = 0; i < calls; ++i) work();
      wait();
      const double took = now() - start;
      if (took >= o_.seconds || calls > 1'000'000) return took / static_cast<double>(calls);
    }
  }
  bool wanted(const std::string& name) const {
    return o_.only.empty() || name.find(o_.only) != std::string::npos;
  }
  void bytes(const std::string& name, double count, const Work& work) {
    if (!wanted(name)) return;
    const double rate = 1e-9 * count / seconds_of(work);
    std::printf("%-37s %9.1f GB/s    %5.1f %% of %.0f\n", name.c_str(), rate, 100 * rate / gbps_,
                gbps_);
    std::fflush(stdout);
    result_.numbers.emplace_back(name, rate);
  }
  void flops(const std::string& name, double count, const Work& work) {
    if (!wanted(name)) return;
    const double rate = 1e-12 * count / seconds_of(work);
    std::printf("%-37s %9.2f TFLOP/s %5.1f %% of %.1f\n", name.c_str(), rate, 100 * rate / tflops_,
                tflops_);
    std::fflush(stdout);
    result_.numbers.emplace_back(name, rate);
  }

  template <typename E = T>
  Tensor random(const Shape& shape) {
    return randn(shape, generator_, {dtype_of<E>, device_});
  }
  /// Elements of T in `x`, in bytes.
  static double size_of_all(const Tensor& x) { return static_cast<double>(x.nbytes()); }
  static MatrixView<T> matrix(const Tensor& x) {
    return {x.data<T>(), x.size(0), x.size(1), x.size(1)};
  }
  static StridedView<T> strided(const Tensor& x) { return {x.data<T>(), x.shape(), x.strides()}; }

  void measure_limits() {
    gbps_ = o_.peak_gbps, tflops_ = o_.peak_tflops;
    if (gbps_ == 0) {
      const Shape shape{device_.is_cpu() ? 64 << 18 : 1 << 28};
      const Tensor from = random<float>(shape), to = empty_like(from);
      gbps_ = 2e-9 * size_of_all(from) / seconds_of([&] { copy_inplace(to, from); });
    }
    if (tflops_ == 0) {
      const int64_t n = device_.is_cpu() ? 1024 : 8192;
      const Tensor a = random({n, n}), b = random({n, n}), c = empty_like(a);
      tflops_ = 2e-12 * std::pow(static_cast<double>(n), 3) / seconds_of([&] {
                  on_device(device_, [&](auto on) {
                    kernels::matmul<T>(on, strided(a), strided(b), strided(c));
                  });
                });
    }
    result_.texts.emplace_back("hardware", hardware(device_));
    std::printf("%s, %s; limits: %.0f GB/s copied (read plus written), %.1f TFLOP/s in a product\n",
                hardware(device_).c_str(), o_.dtype.c_str(), gbps_, tflops_);
  }

  void bandwidth_bound() {
    const int64_t rows = o_.batch * o_.context;
    norms(rows);
    norms_between(rows);
    gelus(rows);
    whole_arrays(rows);
    cross_entropy(rows);
    adamw();
  }

  void norms(int64_t rows) {
    const Tensor x = random({rows, o_.dim}), residual = random({rows, o_.dim});
    const Tensor sum = empty_like(x), y = empty_like(x), gamma = random({o_.dim});
    const Tensor dgamma = empty_like(gamma), dbeta = empty_like(gamma);
    const TensorOptions statistics{dtype_of<Acc<T>>, device_};
    const Tensor mean = zeros({rows}, statistics), rstd = ones({rows}, statistics);
    for (const bool has_mean : {true, false}) {
      const std::string op = has_mean ? "residual_layer_norm" : "residual_rms_norm";
      Acc<T>* const center = has_mean ? mean.data<Acc<T>>() : nullptr;
      bytes(op, 4 * size_of_all(x), [&] {
        on_device(device_, [&](auto on) {
          kernels::residual_layer_norm<T>(on, matrix(x), matrix(residual), gamma.data<T>(),
                                          has_mean ? gamma.data<T>() : nullptr, 1e-5, matrix(sum),
                                          matrix(y), center, rstd.data<Acc<T>>());
        });
      });
      bytes(op + "_backward", 4 * size_of_all(x), [&] {
        on_device(device_, [&](auto on) {
          kernels::residual_layer_norm_backward<T>(
              on, matrix(sum), gamma.data<T>(), center, rstd.data<Acc<T>>(), matrix(x),
              matrix(residual), matrix(y), dgamma.data<T>(), has_mean ? dbeta.data<T>() : nullptr);
        });
      });
    }
  }

  /// What a step under Autocast runs: products of 16 bits beside an f32 residual stream.
  void norms_between(int64_t rows) {
    if constexpr (is_half<T>) {
      const Tensor x = random({rows, o_.dim}), y = empty_like(x);
      const Tensor residual = random<float>({rows, o_.dim}), sum = empty_like(residual);
      const Tensor dx = empty_like(residual), gamma = random<float>({o_.dim}),
                   dgamma = empty_like(gamma);
      const Tensor dbeta = empty_like(gamma), mean = zeros({rows}, {DType::kF32, device_});
      const Tensor rstd = ones({rows}, {DType::kF32, device_});
      const auto wide = [](const Tensor& t) {
        return MatrixView<float>{t.data<float>(), t.size(0), t.size(1), t.size(1)};
      };
      const double low = size_of_all(x), high = size_of_all(residual);
      bytes("between_residual_layer_norm", 2 * low + 2 * high, [&] {
        on_device(device_, [&](auto on) {
          kernels::residual_layer_norm_between<T>(
              on, matrix(x), wide(residual), gamma.data<float>(), gamma.data<float>(), 1e-5,
              wide(sum), matrix(y), mean.data<float>(), rstd.data<float>());
        });
      });
      bytes("between_residual_layer_norm_backward", 2 * low + 3 * high, [&] {
        on_device(device_, [&](auto on) {
          kernels::residual_layer_norm_between_backward<T>(
              on, wide(sum), gamma.data<float>(), mean.data<float>(), rstd.data<float>(), matrix(x),
              wide(residual), wide(dx), matrix(y), dgamma.data<float>(), dbeta.data<float>());
        });
      });
    }
  }

  void gelus(int64_t rows) {
    const Tensor x = random({rows, 4 * o_.dim}), dy = random({rows, 4 * o_.dim});
    const Tensor y = empty_like(x), dbias = random({4 * o_.dim});
    bytes("gelu_bias_gradient", 3 * size_of_all(x), [&] {
      on_device(device_, [&](auto on) {
        kernels::gelu_bias_gradient<T>(on, matrix(x), matrix(dy), matrix(y), dbias.data<T>());
      });
    });
    bytes("gelu", 2 * size_of_all(x), [&] {
      on_device(device_, [&](auto on) {
        kernels::map(on, kernels::GeluTanh{}, std::array<const T*, 1>{x.data<T>()}, y.data<T>(),
                     x.numel());
      });
    });
  }

  void whole_arrays(int64_t rows) {
    const Tensor x = random({rows, 4 * o_.dim}), total = empty({}, {dtype_of<T>, device_});
    bytes("sum", size_of_all(x), [&] {
      on_device(device_, [&](auto on) { kernels::sum<T>(on, strided(x), 3u, 1, total.data<T>()); });
    });
    const Tensor squares = zeros({}, {DType::kF64, device_});
    bytes("add_sum_of_squares", size_of_all(x), [&] {
      on_device(device_, [&](auto on) {
        kernels::add_sum_of_squares<T>(on, x.data<T>(), x.numel(), squares.data<double>());
      });
    });
  }

  void cross_entropy(int64_t rows) {
    const Tensor logits = random({rows, o_.vocab});
    const Tensor targets = zeros({rows}, {DType::kI64, device_});
    const Tensor result = empty({2}, {dtype_of<Acc<T>>, device_});
    bytes("cross_entropy_inplace", 2 * size_of_all(logits), [&] {
      on_device(device_, [&](auto on) {
        kernels::cross_entropy_inplace<T, int64_t>(
            on, matrix(logits), o_.vocab, targets.data<int64_t>(), -100, result.data<Acc<T>>());
      });
    });
  }

  void adamw() {
    const int64_t count =
        o_.parameters > 0 ? o_.parameters : 12 * 12 * o_.dim * o_.dim + o_.vocab * o_.dim;
    const Tensor grad = random({count}), param = random({count});
    const Tensor m = zeros({count}, {dtype_of<Acc<T>>, device_}), v = zeros_like(m);
    constexpr bool kMaster = sizeof(T) == 2;
    const Tensor master = kMaster ? random<Acc<T>>({count}) : m;
    kernels::StepSpan<T> span{.count = count, .grad = grad.data<T>(), .param = param.data<T>()};
    if constexpr (kMaster) span.master = master.data<Acc<T>>();
    span.state[0] = m.data<Acc<T>>();
    span.state[1] = v.data<Acc<T>>();
    const double read_and_written =
        (kMaster ? 2 : 3) * size_of_all(grad) + (kMaster ? 6 : 4) * size_of_all(m);
    bytes("adamw", read_and_written, [&] {
      on_device(device_, [&](auto on) {
        kernels::step_all<T>(on, {}, kernels::AdamRule{}, {&span, 1});
      });
    });
  }

  /// y = x W, dx = dy W^T and dW = x^T dy of one layer.
  void layer(const std::string& name, int64_t rows, int64_t in, int64_t out) {
    const Tensor x = random({rows, in}), w = random({in, out}), y = random({rows, out});
    const double count = 2.0 * static_cast<double>(rows * in) * static_cast<double>(out);
    const auto transposed = [](const Tensor& t) {
      return StridedView<const T>{t.data<T>(), {t.size(1), t.size(0)}, {1, t.size(1)}};
    };
    const Tensor dw = empty_like(w), dx = empty_like(x);
    const auto product = [&](const std::string& what, StridedView<const T> a,
                             StridedView<const T> b, StridedView<T> c) {
      flops(concat("matmul ", name, " ", what), count,
            [&] { on_device(device_, [&](auto on) { kernels::matmul<T>(on, a, b, c); }); });
    };
    product("x W", strided(x), strided(w), strided(y));
    product("dy W^T", strided(y), transposed(w), strided(dx));
    product("x^T dy", transposed(x), strided(y), strided(dw));
  }
  void products() {
    const int64_t rows = o_.batch * o_.context;
    layer("attention in", rows, o_.dim, 3 * o_.dim);
    layer("attention out", rows, o_.dim, o_.dim);
    layer("MLP in", rows, o_.dim, 4 * o_.dim);
    layer("MLP out", rows, 4 * o_.dim, o_.dim);
    const Tensor x = random({rows, o_.dim}), w = random({o_.dim, 4 * o_.dim});
    const Tensor bias = random({4 * o_.dim}), pre = random({rows, 4 * o_.dim}), y = empty_like(pre);
    flops("matmul MLP in, bias and gelu",
          2.0 * static_cast<double>(rows * o_.dim) * static_cast<double>(4 * o_.dim), [&] {
            on_device(device_, [&](auto on) {
              kernels::matmul_gelu<T>(on, strided(x), strided(w), bias.data<T>(), matrix(pre),
                                      matrix(y));
            });
          });
    layer("vocabulary", rows, o_.dim, o_.vocab);
  }

  /// Out of one packed projection, as the model has it.
  void attention() {
    const int64_t head_dim = o_.dim / o_.heads, rows = o_.batch * o_.context;
    const Tensor qkv = random({rows, 3 * o_.dim}), dqkv = empty_like(qkv);
    const Tensor out = random({rows, o_.dim}), dout = random({rows, o_.dim});
    const Tensor lse = empty({o_.batch, o_.heads, o_.context}, {dtype_of<Acc<T>>, device_});
    const auto part = [&](const Tensor& x, int64_t which, int64_t parts) {
      const int64_t width = parts * o_.dim;
      return StridedView<T>{x.data<T>() + which * o_.dim,
                            {o_.batch, o_.heads, o_.context, head_dim},
                            {o_.context * width, head_dim, width, 1}};
    };
    const kernels::AttentionSpec<T> spec{.scale = 1 / std::sqrt(static_cast<double>(head_dim)),
                                         .causal = true};
    // Of one product, without what the mask removes.
    const double useful =
        static_cast<double>(o_.batch * o_.dim) * static_cast<double>(o_.context * (o_.context + 1));
    flops("attention", 2 * useful, [&] {
      on_device(device_, [&](auto on) {
        kernels::attention<T>(on, part(qkv, 0, 3), part(qkv, 1, 3), part(qkv, 2, 3), spec,
                              part(out, 0, 1), lse.data<Acc<T>>());
      });
    });
    flops("attention_backward", 5 * useful, [&] {
      on_device(device_, [&](auto on) {
        kernels::attention_backward<T>(on, part(qkv, 0, 3), part(qkv, 1, 3), part(qkv, 2, 3), spec,
                                       part(out, 0, 1), lse.data<Acc<T>>(), part(dout, 0, 1),
                                       {part(dqkv, 0, 3), part(dqkv, 1, 3), part(dqkv, 2, 3)});
      });
    });
  }

  const Options& o_;
  const Device device_;
  Generator generator_;
  double gbps_ = 0, tflops_ = 0;
  Result result_;
};

int run(const std::vector<std::string>& words) {
  Options o;
  ArgParser parser("gpt_kernels_benchmark", "[flags]", "Times the kernels of a GPT step.");
  parser.add("--device", &o.device, "cpu, cuda or cuda:N");
  parser.add("--dtype", &o.dtype, "of activations").one_of({"f32", "bf16", "f16"});
  parser.add("--only", &o.only, "kernels with this text in their name").default_text("all");
  parser.add("--batch", &o.batch, "sequences").at_least(1);
  parser.add("--context", &o.context, "tokens per sequence").at_least(1);
  parser.add("--dim", &o.dim, "width").at_least(1);
  parser.add("--heads", &o.heads, "attention heads").at_least(1);
  parser.add("--vocab", &o.vocab, "columns of the logits").at_least(1);
  parser.add("--parameters", &o.parameters, "of adamw").default_text("as the model's");
  parser.add("--seconds", &o.seconds, "least time per kernel").above(0);
  parser.add("--peak-gbps", &o.peak_gbps, "limit").at_least(0).default_text("measured");
  parser.add("--peak-tflops", &o.peak_tflops, "limit").at_least(0).default_text("measured");
  parser.add("--json", &o.json, "a last line for scripts: GB/s and TFLOP/s");
  if (parser.parse(words).wants_help) {
    std::cout << parser.help();
    return 0;
  }
  require(o.dim % o.heads == 0, "gpt_kernels_benchmark", "--heads must divide --dim, got ", o.heads,
          " and ", o.dim);
  const Device device = device_of_rank(o.device, RankEnv{});
  if (o.dtype == "f32") {
    Suite<float>(o, device).run();
  } else if (o.dtype == "bf16") {
    Suite<BFloat16>(o, device).run();
  } else {
    Suite<Float16>(o, device).run();
  }
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::run_benchmark(argc, argv, trireme::run); }
