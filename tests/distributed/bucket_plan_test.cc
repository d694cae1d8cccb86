#include "distributed/bucket_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/base/philox.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;

std::vector<GradientSize> f32(std::vector<int64_t> counts) {
  std::vector<GradientSize> sizes;
  for (int64_t count : counts) sizes.push_back({count, DType::kF32});
  return sizes;
}

std::vector<int> reversed(size_t count) {
  std::vector<int> order(count);
  std::iota(order.rbegin(), order.rend(), 0);
  return order;
}

TEST(BucketPlan, CapsFitTheModel) {
  const BucketSizes limits{.head_bytes = 100, .cap_bytes = 2500, .tail_bytes = 50};
  const auto cap = [&](int64_t model_bytes) { return fitted_to(model_bytes, limits).cap_bytes; };
  EXPECT_EQ(cap(1'000'000), 2500) << "large models keep the cap";
  EXPECT_EQ(cap(8000), 1000) << "an eighth";
  EXPECT_EQ(cap(10), 100) << "never below the head";
  EXPECT_EQ(fitted_to(8000, limits).tail_bytes, 50);
}

TEST(BucketPlan, CutsHeadCapsAndTail) {
  // 8 gradients of 400 bytes; head 400, cap 800, tail 400.
  const auto plan = plan_buckets(f32(std::vector<int64_t>(8, 100)), reversed(8), {400, 800, 400});
  ASSERT_EQ(plan.size(), 5u);
  EXPECT_THAT(plan[0].params, ElementsAre(7));
  EXPECT_THAT(plan[1].params, ElementsAre(6, 5));
  EXPECT_THAT(plan[2].params, ElementsAre(4, 3));
  EXPECT_THAT(plan[3].params, ElementsAre(2, 1));
  EXPECT_THAT(plan[4].params, ElementsAre(0));
}

TEST(BucketPlan, NeverSplitsAGradient) {
  const auto plan = plan_buckets(f32({20, 100'000, 20}), reversed(3), {64, 1024, 64});
  ASSERT_EQ(plan.size(), 3u);
  EXPECT_THAT(plan[1].params, ElementsAre(1));
  EXPECT_EQ(plan[1].flags_offset_bytes, 400'000);
}

TEST(BucketPlan, KeepsDtypesApart) {
  const std::vector<GradientSize> sizes = {{8, DType::kF32}, {8, DType::kF64}, {8, DType::kF32}};
  const auto plan = plan_buckets(sizes, std::vector<int>{0, 1, 2}, {1 << 20, 1 << 20, 0});
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[0].dtype, DType::kF64) << "ready first: its last gradient is number 1 in order";
  EXPECT_THAT(plan[1].params, ElementsAre(0, 2));
}

TEST(BucketPlan, RefusesAnOrderThatIsNoPermutation) {
  EXPECT_THROW(plan_buckets(f32({1, 1}), std::vector<int>{0, 0}, {}), InvalidArgument);
  EXPECT_THROW(plan_buckets(f32({1, 1}), std::vector<int>{0, 2}, {}), InvalidArgument);
  EXPECT_THROW(plan_buckets(f32({1, 1}), std::vector<int>{0}, {}), InvalidArgument);
}

// Any sizes, any order: every gradient has one slot, slots do not overlap and are aligned.
TEST(BucketPlan, IsAPartitionWithDisjointAlignedSlots) {
  Generator generator(3);
  for (int round = 0; round < 200; ++round) {
    const size_t count = 1 + generator.next_below(30);
    std::vector<GradientSize> sizes(count);
    for (GradientSize& s : sizes) {
      s.count = static_cast<int64_t>(1 + generator.next_below(5000));
      s.dtype = generator.next_below(3) ? DType::kF32 : DType::kF64;
    }
    std::vector<int> order = reversed(count);
    for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[generator.next_below(i)]);
    const BucketSizes limits{2000, 10000, 2000};
    std::vector<int> seen(count);
    for (const Bucket& bucket : plan_buckets(sizes, order, limits)) {
      int64_t end = 0;
      for (size_t i = 0; i < bucket.params.size(); ++i) {
        const GradientSize& s = sizes[static_cast<size_t>(bucket.params[i])];
        ++seen[static_cast<size_t>(bucket.params[i])];
        EXPECT_EQ(s.dtype, bucket.dtype);
        EXPECT_EQ(bucket.offset_bytes[i] % kSlotAlignment, 0);
        EXPECT_GE(bucket.offset_bytes[i], end);
        end = bucket.offset_bytes[i] + s.count * size_of(s.dtype);
      }
      EXPECT_GE(bucket.flags_offset_bytes, end);
      EXPECT_GE(bucket.total_bytes,
                bucket.flags_offset_bytes +
                    static_cast<int64_t>(bucket.params.size()) * size_of(bucket.dtype));
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<std::ptrdiff_t>(count));
  }
}

}  // namespace
}  // namespace trireme
