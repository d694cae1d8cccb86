// Products of strided matrices against three plain loops in f64.

#include "kernels/matmul.h"

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/half.h"
#include "core/base/parallel_for.h"
#include "core/base/philox.h"

namespace trireme::kernels {
namespace {

template <typename T>
std::vector<T> draw(int64_t count, uint64_t seed) {
  Generator generator(seed);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& v : values) v = static_cast<T>(generator.next_uniform() - 0.5);
  return values;
}

enum class Order { kRowMajor, kColumnMajor, kSpread };

Strides strides_of(Order order, int64_t rows, int64_t cols) {
  if (order == Order::kColumnMajor) return {1, rows};
  if (order == Order::kSpread) return {2 * cols + 3, 2};
  return {cols, 1};
}
int64_t span_of(int64_t rows, int64_t cols) { return rows * (2 * cols + 3); }

/// What rounding to T may add to an error, relative to the result.
template <typename T>
constexpr double kRoundoff = std::is_same_v<T, BFloat16>  ? 0x1p-8
                             : std::is_same_v<T, Float16> ? 0x1p-11
                                                          : 0;

/// c - (what c must be), the largest magnitude; without what one rounding to 16 bits explains.
template <typename T>
double error_of(int64_t m, int64_t n, int64_t k, Order order_a, Order order_b, bool bias,
                Write write) {
  const auto a = draw<T>(span_of(m, k), 1), b = draw<T>(span_of(k, n), 2), shift = draw<T>(n, 3);
  const int64_t row = n + 2;  // rows of c lie apart
  auto c = draw<T>(m * row, 4);
  const auto before = c;
  const StridedView<const T> va{a.data(), {m, k}, strides_of(order_a, m, k)};
  const StridedView<const T> vb{b.data(), {k, n}, strides_of(order_b, k, n)};
  matmul(Cpu{}, va, vb, StridedView<T>{c.data(), {m, n}, {row, 1}}, bias ? shift.data() : nullptr,
         write);
  double most = 0;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < row; ++j) {
      const auto at = static_cast<size_t>(i * row + j);
      double want = double{before[at]};
      if (j < n) {
        if (write == Write::kOverwrite) want = bias ? double{shift[static_cast<size_t>(j)]} : 0;
        for (int64_t p = 0; p < k; ++p) {
          want += double{va.data[i * va.strides[0] + p * va.strides[1]]} *
                  double{vb.data[p * vb.strides[0] + j * vb.strides[1]]};
        }
      }
      most = std::max(most, std::abs(want - double{c[at]}) - kRoundoff<T> * std::abs(want));
    }
  }
  return most;
}

using Sizes = std::tuple<int64_t, int64_t, int64_t>;
class MatmulSizes : public ::testing::TestWithParam<Sizes> {};

TEST_P(MatmulSizes, EqualPlainLoopsForEveryLayout) {
  const auto [m, n, k] = GetParam();
  for (Order a : {Order::kRowMajor, Order::kColumnMajor, Order::kSpread}) {
    for (Order b : {Order::kRowMajor, Order::kColumnMajor, Order::kSpread}) {
      SCOPED_TRACE(::testing::Message() << "layouts " << int(a) << " and " << int(b));
      const double bound = 1e-6 * std::sqrt(static_cast<double>(k)) + 1e-6;
      EXPECT_LT(error_of<float>(m, n, k, a, b, false, Write::kOverwrite), bound);
      EXPECT_LT(error_of<float>(m, n, k, a, b, true, Write::kOverwrite), bound);
      EXPECT_LT(error_of<float>(m, n, k, a, b, false, Write::kAccumulate), bound);
      for (const bool bias : {false, true}) {
        EXPECT_LT(error_of<BFloat16>(m, n, k, a, b, bias, Write::kOverwrite), bound);
        EXPECT_LT(error_of<Float16>(m, n, k, a, b, bias, Write::kOverwrite), bound);
      }
      EXPECT_LT(error_of<BFloat16>(m, n, k, a, b, false, Write::kAccumulate), bound);
      EXPECT_LT(error_of<Float16>(m, n, k, a, b, false, Write::kAccumulate), bound);
      EXPECT_LT(error_of<double>(m, n, k, a, b, false, Write::kOverwrite), 1e-13);
      EXPECT_LT(error_of<double>(m, n, k, a, b, true, Write::kOverwrite), 1e-13);
      EXPECT_LT(error_of<double>(m, n, k, a, b, false, Write::kAccumulate), 1e-13);
    }
  }
}

// Both sides of each threshold: register tile (6 rows, 16 to 64 columns), inner block of 256, the
// size from which threads share one product, and the rows from which the right operand is packed.
INSTANTIATE_TEST_SUITE_P(Sizes, MatmulSizes,
                         ::testing::Values(Sizes{1, 1, 1}, Sizes{5, 3, 2}, Sizes{6, 64, 7},
                                           Sizes{7, 65, 9}, Sizes{13, 17, 257}, Sizes{97, 31, 64},
                                           Sizes{1, 200, 300}, Sizes{200, 1, 300},
                                           Sizes{70, 130, 66}, Sizes{131, 67, 270},
                                           Sizes{300, 9, 600}, Sizes{20, 500, 90}));

TEST(Matmul, EmptyInnerDimensionGivesZerosPlusBias) {
  std::vector<float> c(6, 7.0f);
  const std::vector<float> bias{1, 2, 3};
  const float none = 0;
  matmul(Cpu{}, StridedView<const float>{&none, {2, 0}, {0, 1}},
         StridedView<const float>{&none, {0, 3}, {3, 1}},
         StridedView<float>{c.data(), {2, 3}, {3, 1}}, bias.data());
  EXPECT_EQ(c, (std::vector<float>{1, 2, 3, 1, 2, 3}));
}

// [batch, m, k] x [k, n] and its gradients, small and large: whole numbers make sums exact, so one
// product, a batch of them and a folded one must agree to the bit.
template <typename T>
void check_batched(int64_t batch, int64_t m, int64_t n, int64_t k) {
  const auto whole = [](int64_t count, int64_t modulus) {
    std::vector<T> values(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      values[static_cast<size_t>(i)] = static_cast<T>(i * 7 % modulus - modulus / 2);
    }
    return values;
  };
  const auto a = whole(batch * m * k, 5), b = whole(k * n, 7);
  std::vector<T> c(static_cast<size_t>(batch * m * n)), want = c, sum(static_cast<size_t>(k * n));
  const StridedView<const T> va{a.data(), {batch, m, k}, {m * k, k, 1}};
  matmul(Cpu{}, va, StridedView<const T>{b.data(), {batch, k, n}, {0, n, 1}},
         StridedView<T>{c.data(), {batch, m, n}, {m * n, n, 1}});
  for (int64_t i = 0; i < batch; ++i) {
    matmul(Cpu{}, StridedView<const T>{a.data() + i * m * k, {m, k}, {k, 1}},
           StridedView<const T>{b.data(), {k, n}, {n, 1}},
           StridedView<T>{want.data() + i * m * n, {m, n}, {n, 1}});
  }
  EXPECT_EQ(c, want);

  // sum over the batch of a^T c: stride 0 in the result adds up.
  const StridedView<const T> at{a.data(), {batch, k, m}, {m * k, 1, k}};
  const StridedView<const T> vc{c.data(), {batch, m, n}, {m * n, n, 1}};
  matmul(Cpu{}, at, vc, StridedView<T>{sum.data(), {batch, k, n}, {0, n, 1}});
  std::vector<T> added(sum.size(), T{0});
  for (int64_t i = 0; i < batch; ++i) {
    matmul(Cpu{}, StridedView<const T>{a.data() + i * m * k, {k, m}, {1, k}},
           StridedView<const T>{c.data() + i * m * n, {m, n}, {n, 1}},
           StridedView<T>{added.data(), {k, n}, {n, 1}}, nullptr, Write::kAccumulate);
  }
  EXPECT_EQ(sum, added);
}

TEST(Matmul, BatchEqualsItsMatricesAndSumsWhereTheResultIsBroadcast) {
  check_batched<double>(3, 4, 5, 6);
  check_batched<float>(3, 4, 5, 6);
  check_batched<float>(4, 70, 20, 30);
}

// The sum over a batch whose matrices do not lie behind one another cannot become one product.
TEST(Matmul, SumsOverABatchWithGaps) {
  const std::vector<double> a{1, 2, 0, 3, 4, 0}, b{5, 6, 7, 8};
  std::vector<double> c(1, 100.0);
  matmul(Cpu{}, StridedView<const double>{a.data(), {2, 1, 2}, {3, 2, 1}},
         StridedView<const double>{b.data(), {2, 2, 1}, {2, 1, 1}},
         StridedView<double>{c.data(), {2, 1, 1}, {0, 1, 1}});
  EXPECT_EQ(c[0], 1 * 5 + 2 * 6 + 3 * 7 + 4 * 8);
}

// 1 + 2^-9, some hundred times: any sum in 16 bits would lose the small part, one rounding keeps
// it.
template <typename T>
void check_sums_round_once() {
  constexpr int64_t kBatch = 200;
  const T one(1.0f), part(1 + (std::is_same_v<T, BFloat16> ? 0x1p-7f : 0x1p-10f));
  const std::vector<T> a(kBatch * 3, part), b(kBatch, one);
  T c(7.0f);
  // Gaps between the matrices of a: no large product can be made of them.
  matmul(Cpu{}, StridedView<const T>{a.data(), {kBatch, 1, 1}, {3, 3, 1}},
         StridedView<const T>{b.data(), {kBatch, 1, 1}, {1, 1, 1}},
         StridedView<T>{&c, {kBatch, 1, 1}, {0, 1, 1}});
  EXPECT_EQ(float{c}, float{T(kBatch * float{part})});
  const StridedView<const T> outer{a.data(), {2, kBatch / 2, 1, 1}, {kBatch / 2 * 3, 3, 3, 1}};
  const StridedView<const T> right{b.data(), {2, kBatch / 2, 1, 1}, {kBatch / 2, 1, 1, 1}};
  std::vector<T> two(static_cast<size_t>(kBatch) / 2);
  // The outer dimension adds up, the inner one does not.
  matmul(Cpu{}, outer, right, StridedView<T>{two.data(), {2, kBatch / 2, 1, 1}, {0, 1, 1, 1}});
  for (const T& each : two) ASSERT_EQ(float{each}, float{T(2 * float{part})});
}

TEST(Matmul, SumsOf16BitProductsRoundOnce) {
  check_sums_round_once<BFloat16>();
  check_sums_round_once<Float16>();
}

TEST(Matmul, ProductsBeyondTheRangeOfF16AreInfinite) {
  const std::vector<Float16> a(2, Float16(200.0f)), b{Float16(300.0f), Float16(300.0f)};
  Float16 c(0.0f);
  matmul(Cpu{}, StridedView<const Float16>{a.data(), {1, 2}, {2, 1}},
         StridedView<const Float16>{b.data(), {2, 1}, {1, 1}},
         StridedView<Float16>{&c, {1, 1}, {1, 1}});
  EXPECT_EQ(float{c}, std::numeric_limits<float>::infinity());
}

TEST(Matmul, ColumnSumsAddEveryRow) {
  for (int64_t rows : {0, 1, 3, 4, 7, 1000}) {
    const int64_t cols = 133, stride = 140;
    std::vector<float> x(static_cast<size_t>(rows * stride) + 1), y(static_cast<size_t>(cols), 9);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 11);
    column_sums(Cpu{}, MatrixView<const float>{x.data(), rows, cols, stride}, y.data());
    for (int64_t c = 0; c < cols; ++c) {
      float want = 0;
      for (int64_t r = 0; r < rows; ++r) want += x[static_cast<size_t>(r * stride + c)];
      ASSERT_EQ(y[static_cast<size_t>(c)], want) << rows << " rows, column " << c;
    }
  }
}

}  // namespace
}  // namespace trireme::kernels
