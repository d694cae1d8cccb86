// The graphs that we hand to cuDNN mean what our contracts say: computed on host memory they equal
// the CPU kernels.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention.h"
#include "kernels/conv2d.h"
#include "kernels/cudnn_attention.h"
#include "kernels/cudnn_conv2d.h"
#include "tests/kernels/interpreted_library.h"

namespace trireme::kernels {
namespace {

using Library = testing::InterpretedLibrary;

template <typename T>
std::vector<T> draw(int64_t count, int64_t seed) {
  std::vector<T> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    values[static_cast<size_t>(i)] =
        static_cast<T>(std::sin(static_cast<double>(i) * 1.7 + static_cast<double>(seed) * 0.9));
  }
  return values;
}

/// The largest |a - b|, relative to the largest |b| where that is above 1.
template <typename T>
double difference(const std::vector<T>& a, const std::vector<T>& b) {
  double most = 0, largest = 1;
  for (size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return most / largest;
}

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kOne = 1;

/// q, k and v as parts of one packed [batch, queries, heads of all three, head_dim], or apart with
/// other keys. sharing: heads of q to one of k and v.
struct Attention {
  int64_t batch, heads, queries, keys, head_dim;
  AttentionMask mask;
  int64_t sharing = 1;

  bool is_packed() const { return queries == keys; }
  int64_t kv_heads() const { return heads / sharing; }
  AttentionShape shape() const {
    return {CUDNN_DATA_FLOAT, batch, heads, kv_heads(), queries, keys, head_dim};
  }
  AttentionStrides packed() const {
    const int64_t row = (heads + 2 * kv_heads()) * head_dim;
    return {queries * row, head_dim, row, 1};
  }
  AttentionStrides dense(int64_t rows, int64_t of_heads) const {
    return {of_heads * rows * head_dim, rows * head_dim, head_dim, 1};
  }
  /// [batch, rows, heads, head_dim], as attention's result lies.
  AttentionStrides rows_first(int64_t rows) const {
    return {rows * heads * head_dim, head_dim, heads * head_dim, 1};
  }
  AttentionStrides q() const { return is_packed() ? packed() : dense(queries, heads); }
  AttentionStrides kv() const { return is_packed() ? packed() : dense(keys, kv_heads()); }
  int64_t query_elements() const { return batch * heads * queries * head_dim; }
  int64_t key_elements() const { return batch * kv_heads() * keys * head_dim; }
};

/// The three inputs, or their gradients, in one block of memory.
struct Triple {
  std::vector<float> memory;
  float *q, *k, *v;
  Triple(const Attention& a, int64_t seed) {
    memory = draw<float>(a.query_elements() + 2 * a.key_elements(), seed);
    q = memory.data();
    k = q + (a.is_packed() ? a.heads * a.head_dim : a.query_elements());
    v = k + (a.is_packed() ? a.kv_heads() * a.head_dim : a.key_elements());
  }
};

template <typename T>
StridedView<T> view(T* data, int64_t heads, int64_t rows, const Attention& a,
                    const AttentionStrides& s) {
  return {data, {a.batch, heads, rows, a.head_dim}, {s[0], s[1], s[2], s[3]}};
}
template <typename T>
StridedView<T> of_queries(T* data, const Attention& a, const AttentionStrides& s) {
  return view(data, a.heads, a.queries, a, s);
}
template <typename T>
StridedView<T> of_keys(T* data, const Attention& a) {
  return view(data, a.kv_heads(), a.keys, a, a.kv());
}

/// Calls fn(x in shared, x in apart) for every element of apart, where each query head has a head
/// of keys of its own.
template <typename Fn>
void each_pair(const Attention& a, const Triple& shared, const Attention& b, const Triple& apart,
               const Fn& fn) {
  const auto each = [&](const StridedView<float>& x, const StridedView<float>& y) {
    const int64_t sharing = y.shape[1] / x.shape[1];
    for (int64_t i = 0; i < y.count(); ++i) {
      const int64_t d = i % y.shape[3], t = i / y.shape[3] % y.shape[2];
      const int64_t h = i / (y.shape[3] * y.shape[2]) % y.shape[1], n = i / (y.count() / a.batch);
      fn(x.data[n * x.strides[0] + h / sharing * x.strides[1] + t * x.strides[2] + d],
         y.data[n * y.strides[0] + h * y.strides[1] + t * y.strides[2] + d]);
    }
  };
  each(of_queries(shared.q, a, a.q()), of_queries(apart.q, b, b.q()));
  each(of_keys(shared.k, a), of_keys(apart.k, b));
  each(of_keys(shared.v, a), of_keys(apart.v, b));
}

void check_attention(const Attention& a) {
  Library library;
  Attention b = a;
  b.sharing = 1;
  const Triple in(a, 1), apart(b, 2);
  each_pair(a, in, b, apart, [](float x, float& own) { own = x; });
  const AttentionStrides out_strides = a.rows_first(a.queries);
  std::vector<float> out(static_cast<size_t>(a.query_elements())), want = out;
  std::vector<float> lse(static_cast<size_t>(a.batch * a.heads * a.queries)), want_lse = lse;
  AttentionSpec<float> spec;
  spec.scale = 1 / std::sqrt(static_cast<double>(a.head_dim));
  spec.causal = a.mask == AttentionMask::kCausal;
  const auto q = of_queries<const float>(apart.q, b, b.q());
  const auto k = of_keys<const float>(apart.k, b), v = of_keys<const float>(apart.v, b);
  attention(Cpu{}, q, k, v, spec, of_queries(want.data(), b, out_strides), want_lse.data());

  const auto scale = static_cast<float>(spec.scale);
  const AttentionForwardLayout layout{a.shape(), a.mask, a.q(), a.kv(), a.kv(), out_strides};
  CudnnBuilt forward = build_attention_forward(library.cudnn->graph("attention"), layout);
  library.cudnn->run(forward, {in.q, in.k, in.v, &scale, &kMinusInfinity, out.data(), lse.data()},
                     nullptr);
  EXPECT_LT(difference(out, want), 2e-6);
  EXPECT_LT(difference(lse, want_lse), 2e-6);

  const auto dout = draw<float>(a.query_elements(), 7);
  const Triple apart_grads(b, 8);
  attention_backward<float>(
      Cpu{}, q, k, v, spec, of_queries<const float>(want.data(), b, out_strides), want_lse.data(),
      of_queries(dout.data(), b, out_strides),
      {of_queries(apart_grads.q, b, b.q()), of_keys(apart_grads.k, b), of_keys(apart_grads.v, b)});
  Triple want_grads(a, 8);
  std::ranges::fill(want_grads.memory, 0.0F);
  each_pair(a, want_grads, b, apart_grads, [](float& total, float own) { total += own; });
  for (bool deterministic : {false, true}) {
    Triple grads(a, 9);
    std::vector<float> delta(lse.size()), dq_sum(out.size());
    const AttentionBackwardLayout back{layout, out_strides, a.q(), a.kv(), a.kv(), deterministic};
    CudnnBuilt backward = build_attention_backward(library.cudnn->graph("attention"), back);
    library.cudnn->run(
        backward,
        {in.q, in.k, in.v, out.data(), dout.data(), lse.data(), &scale, &kMinusInfinity, &kOne,
         delta.data(), dq_sum.data(), grads.q, grads.k, grads.v},
        nullptr);
    EXPECT_LT(difference(grads.memory, want_grads.memory), 5e-6);
  }
}

TEST(CudnnAttention, OnPackedProjectionsEqualsTheCpuKernel) {
  check_attention({2, 3, 5, 5, 4, AttentionMask::kCausal});
  check_attention({2, 3, 5, 5, 4, AttentionMask::kNone});
  check_attention({1, 1, 1, 1, 8, AttentionMask::kCausal});
}

TEST(CudnnAttention, WithTheHeadsOfModelsEqualsTheCpuKernel) {
  check_attention({1, 2, 67, 67, 64, AttentionMask::kCausal});
  check_attention({1, 2, 12, 19, 64, AttentionMask::kNone});
  check_attention({1, 1, 40, 40, 128, AttentionMask::kCausal});
}

TEST(CudnnAttention, OfHeadsThatShareKeysEqualsTheCpuKernel) {
  check_attention({2, 6, 5, 5, 8, AttentionMask::kCausal, 3});
  check_attention({1, 4, 9, 9, 64, AttentionMask::kCausal, 2});
  check_attention({1, 4, 5, 7, 128, AttentionMask::kNone, 4});
}

TEST(CudnnAttention, MayHaveFewerQueriesThanKeys) {
  check_attention({2, 2, 3, 6, 4, AttentionMask::kNone});
}

void check_conv2d(const Conv2dGeometry& g) {
  Library library;
  const int64_t pixels = g.batch * g.out_height() * g.out_width();
  const int64_t x_count = g.batch * g.height * g.width * g.in_channels;
  const int64_t w_count = g.out_channels * g.kernel_h * g.kernel_w * (g.in_channels / g.groups);
  const auto x = draw<double>(x_count, 1), w = draw<double>(w_count, 2);
  const auto bias = draw<double>(std::max(g.out_channels, g.in_channels), 3);
  const auto dy = draw<double>(pixels * g.out_channels, 4);
  std::vector<double> y(dy.size()), dx(x.size()), dw(w.size());
  std::vector<double> want_y = y, want_dx = dx, want_dw = dw;
  const auto run = [&](CudnnConvolution kind, const double* at_x, const double* at_w,
                       const double* at_y, bool has_bias) {
    const CudnnConv2d conv{kind, g, CUDNN_DATA_DOUBLE, 8, has_bias};
    CudnnBuilt built = build_conv2d(library.cudnn->graph("conv2d"), conv, {});
    library.cudnn->run(built, {at_x, at_w, at_y, bias.data()}, nullptr);
  };
  for (bool has_bias : {false, true}) {
    conv2d(Cpu{}, g, x.data(), w.data(), has_bias ? bias.data() : nullptr, want_y.data());
    run(CudnnConvolution::kForward, x.data(), w.data(), y.data(), has_bias);
    EXPECT_LT(difference(y, want_y), 1e-12);
    conv2d_input_gradient(Cpu{}, g, dy.data(), w.data(), has_bias ? bias.data() : nullptr,
                          want_dx.data());
    run(CudnnConvolution::kInputGradient, dx.data(), w.data(), dy.data(), has_bias);
    EXPECT_LT(difference(dx, want_dx), 1e-12);
  }
  conv2d_weight_gradient(Cpu{}, g, x.data(), dy.data(), want_dw.data());
  run(CudnnConvolution::kWeightGradient, x.data(), dw.data(), dy.data(), false);
  EXPECT_LT(difference(dw, want_dw), 1e-12);
}

TEST(CudnnConv2d, EqualsTheCpuKernelInEveryDirection) {
  check_conv2d({2, 5, 6, 3, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1});
  check_conv2d({1, 7, 5, 4, 6, 3, 2, 2, 1, 1, 0, 1, 2, 2});
  check_conv2d({2, 4, 4, 4, 4, 1, 1, 2, 2, 0, 0, 1, 1, 4});
}

}  // namespace
}  // namespace trireme::kernels
