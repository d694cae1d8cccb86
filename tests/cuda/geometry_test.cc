// The arithmetic that CUDA kernels share with the host: grids, packs, offsets of strided elements,
// tiles.

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/cuda/size_class.h"
#include "kernels/cuda/convert.h"
#include "kernels/cuda/grid.h"
#include "kernels/cuda/strided.h"
#include "kernels/cuda/transpose.h"

namespace trireme::kernels {
namespace {

TEST(Grid, HasOneBlockAtLeastAndNoMoreThanAreResident) {
  EXPECT_EQ(grid_for(0, 256, 100).blocks, 1);
  EXPECT_EQ(grid_for(1, 256, 100).blocks, 1);
  EXPECT_EQ(grid_for(257, 256, 100).blocks, 2);
  EXPECT_EQ(grid_for(int64_t{1} << 40, 256, 1056).blocks, 1056);
  EXPECT_EQ(grid_for(1000, 256, 0).blocks, 1);
}

// Marks what it is called for; packs must be aligned to their size.
struct Marks {
  std::vector<int>* seen;
  template <int N>
  void run(int64_t i) const {
    EXPECT_EQ(i % N, 0);
    for (int k = 0; k < N; ++k) ++(*seen)[static_cast<size_t>(i + k)];
  }
};

TEST(Grid, ThreadsTakeEveryElementOnce) {
  for (int64_t count : {0, 1, 3, 4, 5, 8, 1023, 1024, 1025, 5000}) {
    for (int64_t threads : {1, 2, 256, 768}) {
      std::vector<int> seen(static_cast<size_t>(count));
      for (int64_t t = 0; t < threads; ++t) run_thread<4>(t, threads, count, Marks{&seen});
      EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }))
          << count << " elements, " << threads << " threads";
    }
  }
}

TEST(StridedIndex, FindsWhatWalkFinds) {
  const Shape shape{3, 1, 4, 5};
  const Strides dst = contiguous_strides(shape), src{0, 7, 1, 8};
  const StridedLoop<2> loop = plan_loop<2>(shape, {&dst, &src});
  const StridedIndex<2> index(loop);
  int64_t i = 0;
  walk(loop, 0, loop.count, [&](const int64_t(&offset)[2], int64_t n) {
    for (int64_t k = 0; k < n; ++k, ++i) {
      EXPECT_EQ(index.at(i)[0], offset[0] + k * loop.inner_stride(0));
      EXPECT_EQ(index.at(i)[1], offset[1] + k * loop.inner_stride(1));
    }
  });
}

TEST(Transposition, TilesCoverEveryMatrixOnce) {
  const Shape shape{2, 40, 70};  // dst [2, 40, 70], src the transpose of its last two
  const Strides dst = contiguous_strides(shape), src{2800, 1, 40};
  const StridedLoop<2> loop = plan_loop<2>(shape, {&dst, &src});
  Transposition plan;
  ASSERT_TRUE(plan_transposition(loop, plan));
  EXPECT_EQ(plan.tiles, 2 * 2 * 3);
  std::vector<int> seen(5600);
  for (int64_t number = 0; number < plan.tiles; ++number) {
    const Tile tile = tile_at(plan, number);
    EXPECT_EQ(tile.dst, tile.src);  // both matrices lie 2800 apart
    for (int64_t r = tile.row; r < std::min(tile.row + kTile, plan.rows); ++r) {
      for (int64_t c = tile.col; c < std::min(tile.col + kTile, plan.cols); ++c) {
        const int64_t to = tile.dst + r * plan.dst_row + c, from = tile.src + c * plan.src_col + r;
        ++seen[static_cast<size_t>(to)];
        EXPECT_EQ(from % 2800, to % 2800 % 70 * 40 + to % 2800 / 70);
      }
    }
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
}

TEST(Transposition, IsNotSeenWhereThereIsNone) {
  const Shape shape{64, 64};
  const Strides dense = contiguous_strides(shape), row{0, 1}, every_other{128, 2};
  Transposition plan;
  EXPECT_FALSE(plan_transposition(plan_loop<2>(shape, {&dense, &row}), plan));
  EXPECT_FALSE(plan_transposition(plan_loop<2>(shape, {&dense, &every_other}), plan));
}

TEST(Convert, GoesThroughAnExactType) {
  const std::vector<int64_t> big{(int64_t{1} << 53) + 1, -1};
  int64_t same[1];
  store_as(DType::kI64, same, 0, load_integer(DType::kI64, big.data(), 0));
  EXPECT_EQ(same[0], big[0]);
  const std::vector<float> floats{0.1f, -2.9f};
  float back[1];
  store_as(DType::kF32, back, 0, load_float(DType::kF32, floats.data(), 0));
  EXPECT_EQ(back[0], 0.1f);
  int32_t whole[1];
  store_as(DType::kI32, whole, 0, load_float(DType::kF32, floats.data(), 1));
  EXPECT_EQ(whole[0], -2);
  bool truth[1];
  store_as(DType::kBool, truth, 0, load_float(DType::kF32, floats.data(), 0));
  EXPECT_TRUE(truth[0]);
}

TEST(SizeClass, HoldsTheRequestAndWastesLittle) {
  using cuda::size_class;
  int previous = -1;
  for (int64_t bytes = 0; bytes <= cuda::kLargestSmall; bytes += 256) {
    const auto [index, size] = size_class(bytes);
    ASSERT_GE(size, bytes);
    ASSERT_LT(index, cuda::kSizeClasses);
    ASSERT_GE(index, previous);  // one class, one size, in order
    EXPECT_EQ(size_class(size).index, index);
    EXPECT_EQ(size_class(size).bytes, size);
    if (bytes > 2048) {
      EXPECT_LE(size, bytes + bytes / 4);
    }
    previous = index;
  }
  EXPECT_EQ(size_class(cuda::kLargestSmall).index, cuda::kSizeClasses - 1);
}

}  // namespace
}  // namespace trireme::kernels
