// Sums do not depend on the number of threads, whatever the layout.

#include "kernels/reduce.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/parallel_for.h"
#include "kernels/random.h"

namespace trireme::kernels {
namespace {

using ::testing::ElementsAre;

std::vector<float> summed(const std::vector<float>& x, const Shape& shape, const Strides& strides,
                          uint32_t dims, int64_t results, int threads) {
  const int before = num_threads();
  set_num_threads(threads);
  std::vector<float> y(static_cast<size_t>(results));
  sum<float>(Cpu{}, {x.data(), shape, strides}, dims, 1.0, y.data());
  set_num_threads(before);
  return y;
}

TEST(Sum, HasTheSameBitsForAnyNumberOfThreads) {
  std::vector<float> x(1'200'000);
  fill_normal(Cpu{}, x.data(), static_cast<int64_t>(x.size()), 9, 0);
  struct Layout {
    Shape shape;
    Strides strides;
    uint32_t dims;
    int64_t results;
  };
  const Layout layouts[] = {
      {{1'200'000}, {1}, 1, 1},
      {{40, 30'000}, {30'000, 1}, 2, 40},
      {{30'000, 40}, {40, 1}, 1, 40},
      {{400, 3'000}, {3'000, 1}, 1, 3'000},
      {{30, 4'000, 10}, {40'000, 10, 1}, 5, 4'000},
      {{3, 200'000}, {1, 3}, 2, 3},
  };
  for (const Layout& l : layouts) {
    const auto alone = summed(x, l.shape, l.strides, l.dims, l.results, 1);
    EXPECT_EQ(summed(x, l.shape, l.strides, l.dims, l.results, 2), alone) << l.shape;
    EXPECT_EQ(summed(x, l.shape, l.strides, l.dims, l.results, 5), alone) << l.shape;
  }
}

TEST(Sum, AddsRepeatedElementsAsOftenAsTheyAreSeen) {
  const std::vector<float> x = {1, 2, 3};
  EXPECT_THAT(summed(x, {1000, 3}, {0, 1}, 1, 3, 1), ElementsAre(1000, 2000, 3000));
  EXPECT_THAT(summed(x, {3, 1000}, {1, 0}, 2, 3, 1), ElementsAre(1000, 2000, 3000));
}

TEST(MaxAlong, SplitsLongRowsOfColumns) {
  constexpr int64_t kN = 7, kInner = 1000;
  std::vector<int32_t> x(kN * kInner);
  for (int64_t i = 0; i < kN * kInner; ++i) x[i] = static_cast<int32_t>(i * 7919 % 1013);
  std::vector<int32_t> values(kInner);
  std::vector<int64_t> where(kInner);
  max_along(Cpu{}, x.data(), 1, kN, kInner, values.data(), where.data());
  for (int64_t c = 0; c < kInner; ++c) {
    for (int64_t k = 0; k < kN; ++k) {
      ASSERT_LE(x[k * kInner + c], values[c]);
      if (k < where[c]) {
        ASSERT_LT(x[k * kInner + c], values[c]);
      }
    }
    ASSERT_EQ(x[where[c] * kInner + c], values[c]);
  }
}

}  // namespace
}  // namespace trireme::kernels
