#include "kernels/random.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/parallel_for.h"

namespace trireme::kernels {
namespace {

constexpr int64_t kCount = 200'001;

template <typename T>
std::vector<T> normals(uint64_t seed, uint64_t first, int64_t count = kCount) {
  std::vector<T> x(static_cast<size_t>(count));
  fill_normal(Cpu{}, x.data(), count, seed, first);
  return x;
}

TEST(Random, IsTheSameForAnyNumberOfThreads) {
  const int threads = num_threads();
  set_num_threads(1);
  const auto alone = normals<float>(1, 0);
  set_num_threads(3);
  EXPECT_EQ(normals<float>(1, 0), alone);
  set_num_threads(threads);
}

TEST(Random, ElementDependsOnItsCounterOnly) {
  const auto all = normals<double>(5, 100, 50);
  const auto tail = normals<double>(5, 130, 20);
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), all.begin() + 30));
  EXPECT_NE(normals<double>(6, 100, 50), all);
}

// Moments of 200,001 draws lie within five standard errors for these seeds.
template <typename T>
void expect_standard_normal() {
  double mean = 0, square = 0, fourth = 0;
  for (T v : normals<T>(42, 7)) {
    ASSERT_TRUE(std::isfinite(v));
    mean += v;
    square += v * v;
    fourth += std::pow(v, 4);
  }
  EXPECT_NEAR(mean / kCount, 0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(square / kCount, 1, 5 * std::sqrt(2.0 / kCount));
  EXPECT_NEAR(fourth / kCount, 3, 5 * std::sqrt(96.0 / kCount));
}

TEST(Random, NormalHasTheMomentsOfANormal) {
  expect_standard_normal<float>();
  expect_standard_normal<double>();
}

template <typename T>
void expect_uniform() {
  std::vector<T> x(static_cast<size_t>(kCount));
  fill_uniform(Cpu{}, x.data(), kCount, 3, 0);
  const auto [least, most] = std::minmax_element(x.begin(), x.end());
  EXPECT_GE(*least, T(0));
  EXPECT_LT(*most, T(1));
  std::vector<int> bins(10);
  for (T v : x) ++bins[static_cast<size_t>(v * 10)];
  for (int n : bins) EXPECT_NEAR(n, kCount / 10.0, 5 * std::sqrt(kCount * 0.09));
}

TEST(Random, UniformFillsItsIntervalEvenly) {
  expect_uniform<float>();
  expect_uniform<double>();
}

}  // namespace
}  // namespace trireme::kernels
