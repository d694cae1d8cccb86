// The 16-bit floats against the definition of their formats, every bit pattern of them.

#include "core/base/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace trireme {
namespace {

/// The value of a binary format with 1 sign, `exponent_bits` and `mantissa_bits`, by its
/// definition.
double value_of(uint16_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
  const int exponent = bits >> mantissa_bits & top, mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == top) {
    return mantissa ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  }
  const double scaled = exponent == 0 ? mantissa : mantissa + (1 << mantissa_bits);
  return sign * std::ldexp(scaled, std::max(exponent, 1) - bias - mantissa_bits);
}

template <typename Half>
void check_every_pattern(int exponent_bits, int mantissa_bits) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const Half half = Half::from_bits(static_cast<uint16_t>(bits));
    const double expected = value_of(static_cast<uint16_t>(bits), exponent_bits, mantissa_bits);
    const float wide = half;
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(wide)) << bits;
      EXPECT_TRUE(std::isnan(float{Half(wide)})) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(wide), expected) << bits;
    ASSERT_EQ(std::signbit(wide), bits >> 15 != 0) << bits;
    ASSERT_EQ(Half(wide).bits, bits);
  }
}

TEST(Half, WidensAndRoundsEveryPatternBack) {
  check_every_pattern<BFloat16>(8, 7);
  check_every_pattern<Float16>(5, 10);
}

/// Between neighbours, each side of the middle goes to its neighbour and the middle to the even
/// one.
template <typename Half>
void check_rounding(uint16_t largest_finite) {
  for (uint16_t bits = 0; bits < largest_finite; ++bits) {
    const double low = float{Half::from_bits(bits)};
    const double high = float{Half::from_bits(static_cast<uint16_t>(bits + 1))};
    const auto middle = static_cast<float>(0.5 * (low + high));  // has one bit more: exact
    const uint16_t even = bits % 2 == 0 ? bits : static_cast<uint16_t>(bits + 1);
    ASSERT_EQ(Half(middle).bits, even) << bits;
    ASSERT_EQ(Half(std::nextafter(middle, 0.0f)).bits, bits);
    ASSERT_EQ(Half(std::nextafter(middle, INFINITY)).bits, bits + 1);
    ASSERT_EQ(Half(-middle).bits, even | 0x8000);
  }
}

TEST(Half, RoundsToNearestEven) {
  check_rounding<BFloat16>(0x7F7F);
  check_rounding<Float16>(0x7BFF);
}

TEST(Half, OverflowsToInfinity) {
  EXPECT_EQ(Float16(65519.0f).bits, 0x7BFF);
  EXPECT_EQ(Float16(65520.0f).bits, 0x7C00);
  EXPECT_EQ(Float16(-1e30f).bits, 0xFC00);
  EXPECT_EQ(BFloat16(std::numeric_limits<float>::max()).bits, 0x7F80);
  EXPECT_EQ(Float16(INFINITY).bits, 0x7C00);
}

TEST(Half, WiderNumbersAreRoundedOnce) {
  // A hair beyond the middle of two neighbours, which an f32 between would round away.
  EXPECT_EQ(float{BFloat16(1 + 0x1p-8 + 0x1p-40)}, 1 + 0x1p-7f);
  EXPECT_EQ(float{BFloat16(1 + 0x1p-8)}, 1.0f);
  EXPECT_EQ(float{BFloat16(-1 - 0x1p-8 - 0x1p-40)}, -1 - 0x1p-7f);
  EXPECT_EQ(float{BFloat16(1 + 3 * 0x1p-8 - 0x1p-40)}, 1 + 0x1p-7f);
  EXPECT_EQ(float{Float16(1 + 0x1p-11 + 0x1p-45)}, 1 + 0x1p-10f);
  EXPECT_EQ(Float16(0x1p-25 + 0x1p-70).bits, 1);  // subnormal
  EXPECT_EQ(Float16(65520 - 0x1p-30).bits, 0x7BFF);
  EXPECT_EQ(float{BFloat16(int64_t{(1LL << 40) + (1LL << 32) + 1})}, 0x1p40f + 0x1p33f);
  EXPECT_EQ(BFloat16(1e300).bits, 0x7F80);
  EXPECT_EQ(BFloat16(-double{INFINITY}).bits, 0xFF80);
  EXPECT_EQ(BFloat16(-0.0).bits, 0x8000);
  EXPECT_TRUE(std::isnan(float{BFloat16(std::nan(""))}));
  EXPECT_TRUE(std::isnan(float{Float16(std::nan(""))}));
}

TEST(Half, ConvertsFromAnyNumber) {
  EXPECT_EQ(float{BFloat16(3)}, 3.0f);
  EXPECT_EQ(float{Float16(int64_t{2048})}, 2048.0f);
  EXPECT_EQ(float{BFloat16(0.1)}, 0.10009765625f);
}

}  // namespace
}  // namespace trireme
