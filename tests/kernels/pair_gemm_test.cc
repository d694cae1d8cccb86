// Products of pairs of bf16. Whole numbers make every sum exact, so results are compared with ==.

#include "kernels/pair_gemm.h"

#include <vector>

#include <gtest/gtest.h>

namespace trireme::kernels {
namespace {

std::vector<BFloat16> whole(int64_t count, int64_t modulus) {
  std::vector<BFloat16> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(BFloat16(static_cast<float>(i * 7 % modulus - modulus / 2)));
  }
  return values;
}
float at(HalfRows x, int64_t i, int64_t j) { return x.row(i)[j]; }

/// Room for x of [rows, cols] packed along its rows, with rubbish in it.
struct Packed {
  Packed(HalfRows x, int64_t rows, int64_t cols)
      : words(static_cast<size_t>(pairs_of(rows) * padded_cols(cols)), 0x3F803F80),
        panels{words.data(), pairs_of(rows) * kPanelCols} {
    pack_rows(x, rows, cols, panels);
  }
  std::vector<Pair> words;
  PairPanels panels;
};

constexpr float kScale = 0.5f, kBefore = 3;
constexpr int64_t kSizes[] = {1, 2, 5, 6, 7, 15, 16, 17, 32, 33, 63, 64, 65, 130};

/// Calls multiply(c, c_row_stride, write) into [m, n] and compares with `element(i, j)`.
template <typename Multiply, typename Element>
void check(int64_t m, int64_t n, const Multiply& multiply, const Element& element) {
  const int64_t stride = padded_cols(n);
  for (const Write write : {Write::kOverwrite, Write::kAccumulate}) {
    std::vector<float> c(static_cast<size_t>((m + 1) * stride), kBefore);
    multiply(c.data(), stride, write);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const float before = write == Write::kAccumulate ? kBefore : 0;
        ASSERT_EQ(c[static_cast<size_t>(i * stride + j)], before + kScale * element(i, j))
            << m << " x " << n << " at " << i << ", " << j;
      }
    }
    for (int64_t j = 0; j < stride; ++j) {
      ASSERT_EQ(c[static_cast<size_t>(m * stride + j)], kBefore) << "the row behind the result";
    }
  }
}

// a b with the pairs of a as they lie and b packed along its rows; k odd and even, rows of both
// apart.
TEST(PairGemm, MultipliesRowsByPackedRows) {
  for (const int64_t k : {1, 2, 31, 64}) {
    for (const int64_t size : kSizes) {
      const int64_t m = size, n = 131 - size, a_stride = k + k % 2 + 4;
      auto a_values = whole(m * a_stride, 11);
      // The half pair at the end of an odd row is multiplied by zero.
      const auto b_values = whole(k * (n + 3), 13);
      const HalfRows a{a_values.data(), a_stride}, b{b_values.data(), n + 3};
      const Packed packed(b, k, n);
      check(
          m, n,
          [&](float* c, int64_t stride, Write write) {
            pair_gemm(m, n, pairs_of(k), as_pairs(a), packed.panels, kScale, c, stride, write);
          },
          [&](int64_t i, int64_t j) {
            float sum = 0;
            for (int64_t p = 0; p < k; ++p) sum += at(a, i, p) * at(b, p, j);
            return sum;
          });
    }
  }
}

// a b^T: rows of b become the columns of a panel.
TEST(PairGemm, MultipliesRowsByTransposedRows) {
  for (const int64_t k : {2, 30, 32, 64, 100}) {
    for (const int64_t n : {1, 15, 16, 17, 63, 64}) {
      const int64_t m = 70 - n, stride_of_rows = k + 2;
      const auto a_values = whole(m * stride_of_rows, 11);
      const auto b_values = whole(n * stride_of_rows, 13);
      const HalfRows a{a_values.data(), stride_of_rows}, b{b_values.data(), stride_of_rows};
      std::vector<Pair> panel(static_cast<size_t>(k / 2 * kPanelCols), 0x3F803F80);
      pack_transposed(b, n, k, panel.data());
      for (int64_t p = 0; p < k / 2; ++p) {
        for (int64_t j = n; j < kPanelCols; ++j) {
          ASSERT_EQ(panel[static_cast<size_t>(p * kPanelCols + j)], 0u);
        }
      }
      check(
          m, n,
          [&](float* c, int64_t stride, Write write) {
            pair_gemm(m, n, k / 2, as_pairs(a), {panel.data(), 0}, kScale, c, stride, write);
          },
          [&](int64_t i, int64_t j) {
            float sum = 0;
            for (int64_t p = 0; p < k; ++p) sum += at(a, i, p) * at(b, j, p);
            return sum;
          });
    }
  }
}

// a^T b, both packed along their rows.
TEST(PairGemm, MultipliesTransposedRows) {
  for (const int64_t k : {1, 5, 64, 129}) {
    for (const int64_t m : {1, 6, 40, 64}) {
      const int64_t n = 65 - m;
      const auto a_values = whole(k * m, 11), b_values = whole(k * n, 13);
      const HalfRows a{a_values.data(), m}, b{b_values.data(), n};
      const Packed left(a, k, m), right(b, k, n);
      check(
          m, n,
          [&](float* c, int64_t stride, Write write) {
            pair_gemm(m, n, pairs_of(k), transposed_rows(left.panels), right.panels, kScale, c,
                      stride, write);
          },
          [&](int64_t i, int64_t j) {
            float sum = 0;
            for (int64_t p = 0; p < k; ++p) sum += at(a, p, i) * at(b, p, j);
            return sum;
          });
    }
  }
}

// a^T b with a of 16 significant bits, more than bf16 has.
TEST(PairGemm, MultipliesSplitElements) {
  for (const int64_t k : {1, 7, 64}) {
    for (const int64_t n : {3, 16, 64, 70}) {
      std::vector<float> a;
      for (int64_t i = 0; i < k * kPanelCols; ++i) a.push_back(float(i * 97 % 65536) - 32768);
      std::vector<Pair> split(a.size());
      split_in_pairs(a.data(), k * kPanelCols, split.data());
      const auto b_values = whole(k * n, 13);
      const HalfRows b{b_values.data(), n};
      std::vector<Pair> words(static_cast<size_t>(k * padded_cols(n)), 0x3F803F80);
      const PairPanels panels{words.data(), k * kPanelCols};
      pack_rows_twice(b, k, n, panels);
      check(
          kPanelCols, n,
          [&](float* c, int64_t stride, Write write) {
            pair_gemm(kPanelCols, n, k, transposed_rows({split.data(), 0}), panels, kScale, c,
                      stride, write);
          },
          [&](int64_t i, int64_t j) {
            float sum = 0;
            for (int64_t p = 0; p < k; ++p) {
              sum += a[static_cast<size_t>(p * kPanelCols + i)] * at(b, p, j);
            }
            return sum;
          });
    }
  }
}

}  // namespace
}  // namespace trireme::kernels
