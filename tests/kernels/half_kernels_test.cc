// 16-bit elements in CPU kernels. A kernel computes with them as with f32 and rounds once, in the
// same order, so its result must be that of the f32 kernel on the same numbers, rounded: to the
// bit, for every length around the width of a vector.

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/philox.h"
#include "kernels/batch_norm.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/fill_copy.h"
#include "kernels/global_norm.h"
#include "kernels/half_rows.h"
#include "kernels/layer_norm.h"
#include "kernels/matmul.h"
#include "kernels/pool2d.h"
#include "kernels/random.h"
#include "kernels/softmax.h"

namespace trireme::kernels {
namespace {

constexpr int64_t kRows = 5;
constexpr int64_t kLengths[] = {1, 3, 15, 16, 17, 31, 32, 33, 100, 257};

template <typename T>
class HalfKernels : public ::testing::Test {};
using Halves = ::testing::Types<BFloat16, Float16>;
TYPED_TEST_SUITE(HalfKernels, Halves);

template <typename T>
std::vector<T> draw(int64_t count, uint64_t seed) {
  Generator generator(seed);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& v : values) v = T(generator.next_normal());
  return values;
}
template <typename T>
std::vector<float> widened(const std::vector<T>& x) {
  return {x.begin(), x.end()};
}

template <typename T>
void expect_rounded(const std::vector<T>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].bits, T(want[i]).bits) << i << ": " << float{got[i]} << ", not " << want[i];
  }
}

template <typename T>
MatrixView<const T> in(const std::vector<T>& x, int64_t cols) {
  return {x.data(), static_cast<int64_t>(x.size()) / cols, cols, cols};
}
template <typename T>
MatrixView<T> out(std::vector<T>& x, int64_t cols) {
  return {x.data(), static_cast<int64_t>(x.size()) / cols, cols, cols};
}

/// Runs kernel(inputs.., output) over [kRows, cols] in T and in f32; `count` inputs.
template <typename T, size_t Count, typename Kernel>
void check_rows(const Kernel& kernel) {
  for (const int64_t cols : kLengths) {
    SCOPED_TRACE(cols);
    std::array<std::vector<T>, Count> x;
    std::array<std::vector<float>, Count> wide;
    for (size_t i = 0; i < Count; ++i) {
      x[i] = draw<T>(kRows * cols, 10 + i);
      wide[i] = widened(x[i]);
    }
    std::vector<T> y(x[0].size());
    std::vector<float> want(y.size());
    kernel(x, cols, y);
    kernel(wide, cols, want);
    expect_rounded(y, want);
  }
}

TYPED_TEST(HalfKernels, ConversionsEqualTheScalarOnes) {
  using T = TypeParam;
  std::vector<T> all;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) all.push_back(T::from_bits(uint16_t(bits)));
  std::vector<float> wide(all.size());
  convert_row(wide.data(), all.data(), static_cast<int64_t>(all.size()));
  for (size_t i = 0; i < all.size(); ++i) {
    const float want = float{all[i]};
    ASSERT_TRUE(wide[i] == want || (std::isnan(wide[i]) && std::isnan(want))) << i;
  }
  // Every exponent, with mantissas around ties.
  std::vector<float> x;
  for (uint32_t exponent = 0; exponent < 0x200; ++exponent) {
    for (const uint32_t mantissa : {0u, 1u, 0xFFFu, 0x1000u, 0x1001u, 0x2FFFu, 0x3000u, 0x7FFFu,
                                    0x8000u, 0x8001u, 0x18000u, 0x123456u, 0x7FFFFFu}) {
      x.push_back(std::bit_cast<float>(exponent << 23 | mantissa));
    }
  }
  std::vector<T> rounded(x.size());
  convert_row(rounded.data(), x.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) {
      ASSERT_TRUE(std::isnan(float{rounded[i]})) << i;
    } else {
      ASSERT_EQ(rounded[i].bits, T(x[i]).bits) << x[i];
    }
  }
}

TYPED_TEST(HalfKernels, ConversionsStayInsideTheirRow) {
  using T = TypeParam;
  for (int64_t n = 0; n <= 40; ++n) {
    std::vector<float> x(static_cast<size_t>(n), 3.0f), back(x.size() + 1, 7.0f);
    std::vector<T> y(x.size() + 1, T(7.0f));
    convert_row(y.data(), x.data(), n);
    convert_row(back.data(), y.data(), n);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(float{y[i]} + back[i], 6.0f);
    ASSERT_EQ(float{y.back()}, 7.0f) << n;
    ASSERT_EQ(back.back(), 7.0f) << n;
  }
}

TYPED_TEST(HalfKernels, Softmax) {
  using T = TypeParam;
  check_rows<T, 1>(
      [](auto& x, int64_t cols, auto& y) { softmax(Cpu{}, in(x[0], cols), out(y, cols)); });
  check_rows<T, 2>([](auto& x, int64_t cols, auto& y) {
    softmax_backward(Cpu{}, in(x[0], cols), in(x[1], cols), out(y, cols));
  });
  check_rows<T, 1>(
      [](auto& x, int64_t cols, auto& y) { log_softmax(Cpu{}, in(x[0], cols), out(y, cols)); });
  check_rows<T, 2>([](auto& x, int64_t cols, auto& y) {
    log_softmax_backward(Cpu{}, in(x[0], cols), in(x[1], cols), out(y, cols));
  });
}

TYPED_TEST(HalfKernels, LayerNorm) {
  using T = TypeParam;
  std::vector<float> mean(kRows), rstd(kRows);
  // gamma and beta are rows of the second and third input.
  check_rows<T, 3>([&](auto& x, int64_t cols, auto& y) {
    layer_norm(Cpu{}, in(x[0], cols), x[1].data(), x[2].data(), 1e-5, out(y, cols), mean.data(),
               rstd.data());
  });
  for (const bool wants_gamma : {false, true}) {
    check_rows<T, 3>([&](auto& x, int64_t cols, auto& y) {
      auto dx = y, sums = y;
      layer_norm_backward(Cpu{}, in(x[0], cols), x[1].data(), mean.data(), rstd.data(),
                          in(x[2], cols), out(dx, cols), sums.data(), sums.data() + cols);
      y = wants_gamma ? sums : dx;
    });
  }
}

TYPED_TEST(HalfKernels, BatchNorm) {
  using T = TypeParam;
  check_rows<T, 2>([](auto& x, int64_t cols, auto& y) {
    const auto n = static_cast<size_t>(cols);
    std::vector<float> mean(n), rstd(n), gamma(n, 1.5f), dgamma(n), dbeta(n);
    batch_moments(Cpu{}, in(x[0], cols), 1e-5f, {}, mean.data(), rstd.data());
    auto normal = y;
    batch_norm(Cpu{}, in(x[0], cols), mean.data(), rstd.data(), gamma.data(), nullptr,
               out(normal, cols));
    batch_norm_sums(Cpu{}, in(x[0], cols), mean.data(), rstd.data(), in(x[1], cols), dgamma.data(),
                    dbeta.data());
    batch_norm_input_gradient(Cpu{}, in(x[0], cols), mean.data(), rstd.data(), gamma.data(),
                              dgamma.data(), dbeta.data(), in(x[1], cols), out(y, cols));
    std::copy_n(normal.begin(), 2 * cols, y.begin());  // rows of either result
  });
}

TYPED_TEST(HalfKernels, CrossEntropy) {
  using T = TypeParam;
  const std::vector<int64_t> targets{0, -100, 0, 0, 0};
  check_rows<T, 1>([&](auto& x, int64_t cols, auto& y) {
    std::vector<float> lse(kRows), result(2), dloss{0.7f};
    using Element = std::decay_t<decltype(y[0])>;
    cross_entropy<Element>(Cpu{}, in(x[0], cols), targets.data(), -100, lse.data(), result.data());
    cross_entropy_backward<Element>(Cpu{}, in(x[0], cols), targets.data(), -100, lse.data(),
                                    dloss.data(), &result[1], out(y, cols));
  });
}

TYPED_TEST(HalfKernels, EmbeddingGradientAddsInF32) {
  using T = TypeParam;
  const std::vector<int32_t> ids{2, 0, 2, 2, 4};
  check_rows<T, 1>([&](auto& x, int64_t cols, auto& y) {
    embedding_backward(Cpu{}, in(x[0], cols), ids.data(), out(y, cols));
  });
}

TYPED_TEST(HalfKernels, ColumnSumsAndDropout) {
  using T = TypeParam;
  check_rows<T, 1>([](auto& x, int64_t cols, auto& y) {
    column_sums(Cpu{}, in(x[0], cols), y.data());
    std::fill(y.begin() + cols, y.end(), std::decay_t<decltype(y[0])>{});
  });
  check_rows<T, 1>([](auto& x, int64_t, auto& y) {
    dropout(Cpu{}, x[0].data(), y.data(), static_cast<int64_t>(y.size()), 0.3, 5, 2);
  });
}

TYPED_TEST(HalfKernels, PoolingAddsInF32) {
  using T = TypeParam;
  // 3 x 3 windows over 4 x 5 pixels that overlap; channels around the width of a vector.
  for (const int64_t channels : {1, 17, 33}) {
    const Pool2dGeometry g{2, channels, {4, 4, 3, 1, 1}, {5, 5, 3, 1, 1}};
    const auto x = draw<T>(2 * 20 * channels, 3);
    const auto wide = widened(x);
    std::vector<int32_t> where(x.size()), wide_where(x.size());
    const auto check = [&](const auto& pool) {
      std::vector<T> y(x.size());
      std::vector<float> want(x.size());
      pool(x, y, where);
      pool(wide, want, wide_where);
      expect_rounded(y, want);
    };
    check([&](const auto& a, auto& y, auto& at) {
      max_pool2d(Cpu{}, g, a.data(), y.data(), at.data());
    });
    ASSERT_EQ(where, wide_where);
    check([&](const auto& a, auto& y, auto& at) {
      max_pool2d_backward(Cpu{}, g, a.data(), at.data(), y.data());
    });
    check([&](const auto& a, auto& y, auto&) { avg_pool2d(Cpu{}, g, a.data(), y.data()); });
    check(
        [&](const auto& a, auto& y, auto&) { avg_pool2d_backward(Cpu{}, g, a.data(), y.data()); });
  }
}

TYPED_TEST(HalfKernels, AddScaledRoundsOnceWhateverTheStrides) {
  using T = TypeParam;
  for (const int64_t stride : {1, 2}) {
    const auto x = draw<T>(100 * stride, 1);
    auto y = draw<T>(100 * stride, 2);
    const auto before = y;
    const Shape shape{100};
    const Strides strides{stride};
    add_scaled_inplace(Cpu{}, {y.data(), dtype_of<T>, shape, strides},
                       {x.data(), dtype_of<T>, shape, strides}, 0.3);
    scale_inplace(Cpu{}, {y.data(), dtype_of<T>, shape, strides}, 2);
    for (size_t i = 0; i < 100; ++i) {
      const size_t at = i * static_cast<size_t>(stride);
      const double want = double{float{before[at]}} + 0.3 * double{float{x[at]}};
      const double roundoff = std::is_same_v<T, BFloat16> ? 0x1p-8 : 0x1p-11;
      ASSERT_NEAR(float{y[at]} / 2, want, roundoff * std::abs(want) + 1e-6) << i;
    }
  }
}

TYPED_TEST(HalfKernels, NanStaysAndF16Overflows) {
  using T = TypeParam;
  std::vector<T> x(40, T(1.0f)), y(40);
  x[13] = T(std::nanf(""));
  softmax(Cpu{}, in(x, 20), out(y, 20));
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(std::isnan(float{y[i]}), i < 20) << i;
  const float largest = std::is_same_v<T, Float16> ? 65504.0f : 0x1.FEp127f;
  std::vector<T> sums{T(largest), T(1.0f)};
  const Shape shape{2};
  const Strides strides{1};
  scale_inplace(Cpu{}, {sums.data(), dtype_of<T>, shape, strides}, -2);
  EXPECT_EQ(float{sums[0]}, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(float{sums[1]}, -2.0f);
}

TYPED_TEST(HalfKernels, GlobalNormIsExactForLargeElements) {
  const std::vector<TypeParam> x(1000, TypeParam(60000.0f));
  const double each = double{float{x[0]}};
  double sum = 0;
  add_sum_of_squares(Cpu{}, x.data(), 1000, &sum);
  EXPECT_EQ(sum, 1000 * each * each);
}

TYPED_TEST(HalfKernels, UniformNumbersStayBelowOne) {
  std::vector<TypeParam> x(100'000);
  fill_uniform(Cpu{}, x.data(), static_cast<int64_t>(x.size()), 1, 0);
  float least = 1, most = 0;
  double sum = 0;
  for (const TypeParam& v : x) {
    least = std::min(least, float{v});
    most = std::max(most, float{v});
    sum += double{float{v}};
  }
  const float step = std::is_same_v<TypeParam, BFloat16> ? 0x1p-8f : 0x1p-11f;
  EXPECT_EQ(least, 0.0f);
  EXPECT_EQ(most, 1 - step);
  EXPECT_NEAR(sum / 1e5, 0.5, 0.005);
  std::vector<float> wide(x.size());
  fill_normal(Cpu{}, x.data(), static_cast<int64_t>(x.size()), 1, 0);
  fill_normal(Cpu{}, wide.data(), static_cast<int64_t>(x.size()), 1, 0);
  expect_rounded(x, wide);
}

}  // namespace
}  // namespace trireme::kernels
