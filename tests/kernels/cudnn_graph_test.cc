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

/// q, k and v as parts of one packed [batch, queries, 3, heads, head_dim], or apart with other
/// keys.
struct Attention {
  int64_t batch, heads, queries, keys, head_dim;
  AttentionMask mask;

  bool is_packed() const { return queries == keys; }
  AttentionShape shape() const { return {CUDNN_DATA_FLOAT, batch, heads, queries, keys, head_dim}; }
  AttentionStrides packed() const {
    const int64_t row = 3 * heads * head_dim;
    return {queries * row, head_dim, row, 1};
  }
  AttentionStrides dense(int64_t rows) const {
    return {heads * rows * head_dim, rows * head_dim, head_dim, 1};
  }
  /// [batch, rows, heads, head_dim], as attention's result lies.
  AttentionStrides rows_first(int64_t rows) const {
    return {rows * heads * head_dim, head_dim, heads * head_dim, 1};
  }
  AttentionStrides q() const { return is_packed() ? packed() : dense(queries); }
  AttentionStrides kv() const { return is_packed() ? packed() : dense(keys); }
  int64_t elements(int64_t rows) const { return batch * heads * rows * head_dim; }
};

/// The three inputs, or their gradients, in one block of memory.
struct Triple {
  std::vector<float> memory;
  float *q, *k, *v;
  Triple(const Attention& a, int64_t seed) {
    memory = draw<float>(a.elements(a.queries) + 2 * a.elements(a.keys), seed);
    q = memory.data();
    k = a.is_packed() ? q + a.heads * a.head_dim : q + a.elements(a.queries);
    v = a.is_packed() ? k + a.heads * a.head_dim : k + a.elements(a.keys);
  }
};

template <typename T>
StridedView<T> view(T* data, const Attention& a, int64_t rows, const AttentionStrides& s) {
  return {data, {a.batch, a.heads, rows, a.head_dim}, {s[0], s[1], s[2], s[3]}};
}

void check_attention(const Attention& a) {
  Library library;
  const Triple in(a, 1);
  const AttentionStrides out_strides = a.rows_first(a.queries);
  std::vector<float> out(static_cast<size_t>(a.elements(a.queries))), want = out;
  std::vector<float> lse(static_cast<size_t>(a.batch * a.heads * a.queries)), want_lse = lse;
  AttentionSpec<float> spec;
  spec.scale = 1 / std::sqrt(static_cast<double>(a.head_dim));
  spec.causal = a.mask == AttentionMask::kCausal;
  const auto q = view<const float>(in.q, a, a.queries, a.q());
  const auto k = view<const float>(in.k, a, a.keys, a.kv());
  const auto v = view<const float>(in.v, a, a.keys, a.kv());
  attention(Cpu{}, q, k, v, spec, view(want.data(), a, a.queries, out_strides), want_lse.data());

  const auto scale = static_cast<float>(spec.scale);
  const AttentionForwardLayout layout{a.shape(), a.mask, a.q(), a.kv(), a.kv(), out_strides};
  CudnnBuilt forward = build_attention_forward(library.cudnn->graph("attention"), layout);
  library.cudnn->run(forward, {in.q, in.k, in.v, &scale, &kMinusInfinity, out.data(), lse.data()},
                     nullptr);
  EXPECT_LT(difference(out, want), 2e-6);
  EXPECT_LT(difference(lse, want_lse), 2e-6);

  const auto dout = draw<float>(a.elements(a.queries), 7);
  const auto dout_view = view<const float>(dout.data(), a, a.queries, out_strides);
  Triple want_grads(a, 8);
  attention_backward<float>(
      Cpu{}, q, k, v, spec, view<const float>(want.data(), a, a.queries, out_strides),
      want_lse.data(), dout_view,
      {view(want_grads.q, a, a.queries, a.q()), view(want_grads.k, a, a.keys, a.kv()),
       view(want_grads.v, a, a.keys, a.kv())});
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
