#include "core/data/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "core/base/error.h"
#include "core/data/permutation.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;

using MakeSampler = std::function<std::unique_ptr<Sampler>(Shard)>;

std::vector<int64_t> counting(int64_t count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// The slices of all ranks, in rank order, are the batch that a single rank sees.
void expect_same_global_order(const MakeSampler& make, int64_t steps) {
  const auto single = make({0, 1});
  for (int world_size = 1; world_size <= 4; ++world_size) {
    for (int64_t step = 0; step < steps; ++step) {
      std::vector<int64_t> joined;
      for (int rank = 0; rank < world_size; ++rank) {
        const auto part = make({rank, world_size})->indices(step);
        joined.insert(joined.end(), part.begin(), part.end());
      }
      EXPECT_EQ(joined, single->indices(step)) << world_size << " ranks, step " << step;
    }
  }
}

TEST(Sampler, AnyWorldSizeSeesTheSameGlobalOrder) {
  expect_same_global_order([](Shard s) { return std::make_unique<RandomSampler>(1000, 12, 7, s); },
                           20);
  expect_same_global_order(
      [](Shard s) { return std::make_unique<PermutationSampler>(100, 12, 7, s); }, 20);
  expect_same_global_order(
      [](Shard s) { return std::make_unique<SequentialSampler>(100, 7, 12, s); }, 20);
  expect_same_global_order([](Shard s) { return std::make_unique<EvenSampler>(100, 61, 7, s); }, 9);
}

TEST(SequentialSampler, WalksThroughTheDataAndStartsAgain) {
  // Starts 0, 4, 8 fit into 10; the second batch begins a new pass in its middle.
  const SequentialSampler sampler(10, 4, 2);
  EXPECT_THAT(sampler.indices(0), ElementsAre(0, 4));
  EXPECT_THAT(sampler.indices(1), ElementsAre(8, 0));
  EXPECT_THAT(sampler.indices(2), ElementsAre(4, 8));
  EXPECT_THROW(SequentialSampler(10, 0, 2), InvalidArgument);
}

TEST(Permutation, IsABijectionForAnySize) {
  for (int64_t size = 1; size <= 300; ++size) {
    const Permutation order(size, 42);
    std::vector<int64_t> seen;
    for (int64_t i = 0; i < size; ++i) seen.push_back(order.at(i));
    std::sort(seen.begin(), seen.end());
    ASSERT_EQ(seen, counting(size));
  }
  EXPECT_THROW(Permutation(0, 1), InvalidArgument);
}

TEST(Permutation, WorksAtSizesNoTableWouldFit) {
  constexpr int64_t kSize = int64_t{3} << 60;
  const Permutation order(kSize, 1);
  std::set<int64_t> seen;
  for (int64_t i = 0; i < 1000; ++i) {
    const int64_t value = order.at(kSize - 1 - i);
    EXPECT_TRUE(value >= 0 && value < kSize);
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

// Each of the 24 orders of four samples should appear about equally often over the keys.
TEST(Permutation, SmallOrdersAreUniform) {
  constexpr int kKeys = 24000;
  std::map<std::vector<int64_t>, int> count;
  for (int key = 0; key < kKeys; ++key) {
    const Permutation order(4, static_cast<uint64_t>(key));
    ++count[{order.at(0), order.at(1), order.at(2), order.at(3)}];
  }
  ASSERT_EQ(count.size(), 24u);
  double chi_square = 0;
  for (const auto& [order, n] : count) chi_square += (n - 1000.0) * (n - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 49.7);  // 23 degrees of freedom, p = 0.001
}

TEST(PermutationSampler, AnEpochVisitsEachSampleAtMostOnceAndDropsTheRest) {
  const PermutationSampler sampler(103, 10, 3);
  ASSERT_EQ(sampler.steps_per_epoch(), 10);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<int64_t> seen;
    for (int64_t step = 10 * epoch; step < 10 * epoch + 10; ++step) {
      for (const int64_t i : sampler.indices(step)) {
        EXPECT_TRUE(i >= 0 && i < 103);
        seen.insert(i);
      }
    }
    EXPECT_EQ(seen.size(), 100u);
  }
}

TEST(PermutationSampler, OrderDependsOnEpochAndSeed) {
  const PermutationSampler sampler(100, 100, 3), same(100, 100, 3), other(100, 100, 4);
  EXPECT_EQ(sampler.indices(0), same.indices(0));
  EXPECT_NE(sampler.indices(0), sampler.indices(1));
  EXPECT_NE(sampler.indices(0), other.indices(0));
  EXPECT_NE(sampler.indices(0), counting(100));
}

TEST(RandomSampler, DrawsUniformlyAndAnewEachStep) {
  const RandomSampler sampler(10, 10000, 5), other(10, 10000, 6);
  EXPECT_NE(sampler.indices(0), sampler.indices(1));
  EXPECT_NE(sampler.indices(0), other.indices(0));
  std::vector<int> count(10);
  for (const int64_t i : sampler.indices(0)) ++count.at(static_cast<size_t>(i));
  double chi_square = 0;
  for (const int n : count) chi_square += (n - 1000.0) * (n - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 27.9);  // 9 degrees of freedom, p = 0.001
}

TEST(EvenSampler, CoversTheDatasetEvenlyAndDropsNothing) {
  const EvenSampler all(10, 10, 4);
  ASSERT_EQ(all.steps(), 3);
  EXPECT_THAT(all.indices(0), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(all.indices(2), ElementsAre(8, 9));
  const EvenSampler some(1000, 4, 4);
  EXPECT_THAT(some.indices(0), ElementsAre(0, 250, 500, 750));
  // A short last batch leaves some ranks without a share.
  EXPECT_TRUE(EvenSampler(5, 5, 4, {0, 2}).indices(1).empty());
  EXPECT_THAT(EvenSampler(5, 5, 4, {1, 2}).indices(1), ElementsAre(4));
}

TEST(Sampler, RefusesImpossibleArguments) {
  EXPECT_THAT(message_of<InvalidArgument>([] {
                RandomSampler(100, 10, 1, {0, 4});
              }),
              HasSubstr("multiple of the number of ranks, got 10 for 4 ranks"));
  EXPECT_THAT(message_of<InvalidArgument>([] { PermutationSampler(5, 6, 1); }),
              HasSubstr("got 6 of 5 samples"));
  EXPECT_THAT(message_of<InvalidArgument>([] { EvenSampler(5, 6, 1); }),
              HasSubstr("[1, 5], got 6"));
  EXPECT_THROW(RandomSampler(0, 1, 1), InvalidArgument);
  EXPECT_THROW(RandomSampler(5, 2, 1, {2, 2}), InvalidArgument);
  EXPECT_THROW(EvenSampler(5, 5, 2).indices(3), InvalidArgument);
  EXPECT_THROW(RandomSampler(5, 1, 1).indices(-1), InvalidArgument);
}

}  // namespace
}  // namespace trireme
