// Strided fill, copy and accumulation against plain loops over indices.

#include "kernels/fill_copy.h"

#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace trireme::kernels {
namespace {

using ::testing::ElementsAre;

template <typename T>
AnyView view(std::vector<T>& x, const Shape& shape, const Strides& strides) {
  return {x.data(), dtype_of<T>, shape, strides};
}
template <typename T>
ConstAnyView const_view(const std::vector<T>& x, const Shape& shape, const Strides& strides) {
  return {x.data(), dtype_of<T>, shape, strides};
}
template <typename T>
std::vector<T> counting(int64_t n) {
  std::vector<T> x(static_cast<size_t>(n));
  std::iota(x.begin(), x.end(), T{1});
  return x;
}

TEST(Fill, WritesStridedElementsOnly) {
  std::vector<int32_t> x(12, 7);
  fill(Cpu{}, view(x, {3, 2}, {4, 1}), -2.9);
  EXPECT_THAT(x, ElementsAre(-2, -2, 7, 7, -2, -2, 7, 7, -2, -2, 7, 7));
  fill(Cpu{}, view(x, {3}, {4}), 0);
  EXPECT_THAT(x, ElementsAre(0, -2, 7, 7, 0, -2, 7, 7, 0, -2, 7, 7));
  std::vector<float> untouched(2, 1);
  fill(Cpu{}, view(untouched, {0, 2}, {2, 1}), 5);
  EXPECT_THAT(untouched, ElementsAre(1, 1));
}

TEST(Copy, ConvertsEveryPairOfDtypes) {
  const std::vector<double> reals = {-1.75, 0, 0.5, 3.25};
  std::vector<int32_t> whole(4);
  copy(Cpu{}, view(whole, {4}, {1}), const_view(reals, {4}, {1}));
  EXPECT_THAT(whole, ElementsAre(-1, 0, 0, 3));
  std::vector<float> back(4);
  copy(Cpu{}, view(back, {4}, {1}), const_view(whole, {4}, {1}));
  EXPECT_THAT(back, ElementsAre(-1, 0, 0, 3));
  bool flags[4];
  const Shape shape = {4};
  const Strides dense = {1};
  copy(Cpu{}, {flags, DType::kBool, shape, dense}, const_view(reals, shape, dense));
  EXPECT_THAT(flags, ElementsAre(true, false, true, true));
  std::vector<uint8_t> bytes(4);
  copy(Cpu{}, view(bytes, {4}, {1}), {flags, DType::kBool, shape, dense});
  EXPECT_THAT(bytes, ElementsAre(1, 0, 1, 1));
}

// Sizes around the tile of the transposing copy, with a batch dimension outside or between.
template <typename T>
void expect_transposed(int64_t batch, int64_t rows, int64_t cols) {
  const std::vector<T> src = counting<T>(batch * rows * cols);
  std::vector<T> dst(src.size());
  const Shape shape = {batch, rows, cols};
  copy(Cpu{}, view(dst, shape, contiguous_strides(shape)),
       const_view(src, shape, {rows * cols, 1, rows}));
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        const int64_t at = b * rows * cols;
        ASSERT_EQ(dst[at + r * cols + c], src[at + c * rows + r])
            << b << ", " << r << ", " << c << " of " << shape;
      }
    }
  }
}

TEST(Copy, TransposesInTiles) {
  for (int64_t rows : {1, 2, 31, 32, 33, 100}) {
    for (int64_t cols : {1, 3, 32, 65}) {
      expect_transposed<float>(1, rows, cols);
      expect_transposed<double>(3, rows, cols);
      expect_transposed<uint8_t>(2, rows, cols);
    }
  }
  expect_transposed<float>(4, 257, 511);  // enough for several threads
}

TEST(Copy, RepeatsBroadcastElements) {
  const std::vector<float> src = {1, 2, 3};
  std::vector<float> dst(6);
  copy(Cpu{}, view(dst, {2, 3}, {3, 1}), const_view(src, {2, 3}, {0, 1}));
  EXPECT_THAT(dst, ElementsAre(1, 2, 3, 1, 2, 3));
  copy(Cpu{}, view(dst, {3, 2}, {2, 1}), const_view(src, {3, 2}, {1, 0}));
  EXPECT_THAT(dst, ElementsAre(1, 1, 2, 2, 3, 3));
}

TEST(Copy, HandlesAnyOrderOfFourDimensions) {
  // [2, 3, 4, 5] read in the order (3, 1, 0, 2), as attention permutes its heads.
  const std::vector<int64_t> src = counting<int64_t>(120);
  std::vector<int64_t> dst(120);
  const Shape shape = {5, 3, 2, 4};
  copy(Cpu{}, view(dst, shape, contiguous_strides(shape)), const_view(src, shape, {1, 20, 60, 5}));
  size_t next = 0;
  for (int64_t d = 0; d < 5; ++d) {
    for (int64_t b = 0; b < 3; ++b) {
      for (int64_t a = 0; a < 2; ++a) {
        for (int64_t c = 0; c < 4; ++c) {
          ASSERT_EQ(dst[next++], src[static_cast<size_t>(a * 60 + b * 20 + c * 5 + d)]);
        }
      }
    }
  }
}

TEST(AddScaled, AddsStridedOperands) {
  std::vector<double> y = {1, 2, 3, 4, 5, 6};
  const std::vector<double> x = {10, 20, 30};
  add_scaled_inplace(Cpu{}, view(y, {2, 3}, {3, 1}), const_view(x, {2, 3}, {0, 1}), 0.5);
  EXPECT_THAT(y, ElementsAre(6, 12, 18, 9, 15, 21));
  add_scaled_inplace(Cpu{}, view(y, {3, 2}, {1, 3}), const_view(y, {3, 2}, {1, 3}), -1);
  EXPECT_THAT(y, ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_THROW(scale_inplace(Cpu{}, {y.data(), DType::kBool, Shape{6}, Strides{1}}, 2),
               InvalidArgument);
}

}  // namespace
}  // namespace trireme::kernels
