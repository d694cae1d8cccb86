// Operands that are packed for oneDNN, element by element.

#include "kernels/onednn_operands.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace trireme::kernels {
namespace {

/// [rows, cols] of different elements, `stride` apart.
std::vector<BFloat16> numbered(int64_t rows, int64_t cols, int64_t stride) {
  std::vector<BFloat16> x(static_cast<size_t>(rows * stride));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      const auto bits = static_cast<uint16_t>(i * cols + j);
      std::memcpy(&x[static_cast<size_t>(i * stride + j)], &bits, sizeof bits);
    }
  }
  return x;
}

uint16_t bits_of(BFloat16 x) {
  uint16_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

TEST(OnednnOperands, PacksPanelsOfPairs) {
  for (const int64_t k : {32, 256, 288}) {
    for (const int64_t n : {64, 192}) {
      const auto rows = numbered(k, n, n + 3), cols = numbered(n, k, k + 5);
      const Operand<BFloat16> plain{rows.data(), n + 3, 1}, transposed{cols.data(), 1, k + 5};
      for (const Operand<BFloat16>& b : {plain, transposed}) {
        ASSERT_TRUE(can_pack_right(b, k, n));
        std::vector<Pair> packed(static_cast<size_t>(k * n / 2));
        pack_right(b, k, n, packed.data());
        const auto* elements = reinterpret_cast<const BFloat16*>(packed.data());
        for (int64_t i = 0; i < k; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            const int64_t at = j / 64 * (64 * k) + i / 2 * 128 + j % 64 * 2 + i % 2;
            ASSERT_EQ(bits_of(elements[at]), bits_of(*b.at(i, j))) << i << ", " << j;
          }
        }
      }
    }
  }
}

TEST(OnednnOperands, LeavesPartsOfTilesToOnednn) {
  EXPECT_FALSE(can_pack_right({nullptr, 64, 1}, 33, 64));
  EXPECT_FALSE(can_pack_right({nullptr, 65, 1}, 32, 65));
  EXPECT_FALSE(can_pack_right({nullptr, 2, 128}, 32, 64));
  EXPECT_FALSE(can_straighten_left({nullptr, 1, 64}, 64, 33));
  EXPECT_FALSE(can_straighten_left({nullptr, 1, 65}, 65, 32));
  EXPECT_FALSE(can_straighten_left({nullptr, 32, 1}, 64, 32));
}

TEST(OnednnOperands, StraightensATransposedMatrix) {
  for (const int64_t m : {16, 48, 256}) {
    for (const int64_t k : {32, 96}) {
      const auto values = numbered(k, m, m + 7);
      const Operand<BFloat16> a{values.data(), 1, m + 7};
      ASSERT_TRUE(can_straighten_left(a, m, k));
      std::vector<BFloat16> straight(static_cast<size_t>(m * k));
      straighten_left(a, m, k, straight.data());
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < k; ++j) {
          ASSERT_EQ(bits_of(straight[static_cast<size_t>(i * k + j)]), bits_of(*a.at(i, j)));
        }
      }
    }
  }
}

}  // namespace
}  // namespace trireme::kernels
