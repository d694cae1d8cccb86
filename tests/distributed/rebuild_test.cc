// The buckets' second plan, in the order that the first backward showed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/autograd/backward.h"
#include "core/tensor/allocator.h"
#include "distributed/ddp.h"
#include "distributed/run_ranks.h"
#include "tests/distributed/chain.h"
#include "tests/support/trace_recorder.h"

namespace trireme {
namespace {

using testing::Chain;
using ::testing::ElementsAre;

constexpr int64_t kMiB = 1 << 20;

bool is_of_the_reducer(const std::string& name) {
  return name.starts_with("bucket") || name == "end_of_backward";
}

TEST(Rebuild, MovesNothingIfTheOrderWasGuessedRight) {
  run_ranks(2, [](Communicator& comm) {
    Chain model(3, 1024);
    DistributedDataParallel ddp(model, comm);
    const Tensor& p = model.parameters[1];
    const void* during = nullptr;
    const auto hook = register_accumulate_hook(p, [&] { during = p.grad().raw_data(); });
    ddp.backward(model.loss());
    EXPECT_TRUE(ddp.reducer().is_rebuilt());
    EXPECT_EQ(p.grad().raw_data(), during);
  });
}

TEST(Rebuild, MovesGradientsBucketByBucket) {
  constexpr int kCount = 16;
  run_ranks(1, [](Communicator& comm) {
    Chain model(kCount, kMiB);
    GradientBuckets buckets(model.named_parameters(), comm, {kMiB, kMiB, kMiB});
    std::vector<int> order(kCount);
    std::iota(order.rbegin(), order.rend(), 0);
    buckets.plan(order);
    EXPECT_THAT(buckets.buckets().front().params, ElementsAre(kCount - 1));
    backward(model.loss());
    reset_peak_memory();
    const int64_t before = memory_stats().total_allocated_bytes;
    std::reverse(order.begin(), order.end());
    buckets.plan(order);
    EXPECT_THAT(buckets.buckets().front().params, ElementsAre(0));
    EXPECT_LE(memory_stats().peak_allocated_bytes - before, 3 * kMiB);
    for (const Tensor& p : model.parameters) {
      EXPECT_EQ(p.grad().to_vector<float>(), std::vector<float>(kMiB / 4, 1));
    }
  });
}

TEST(Rebuild, ProfilersSeeBucketsInTheirOrder) {
  const testing::TraceRecorder recorder;
  run_ranks(2, [](Communicator& comm) {
    Chain model(3, 1024);
    DistributedDataParallel ddp(model, comm, {.sizes = {1024, 1024, 1024}});
    testing::TraceRecorder::take();
    ddp.backward(model.loss());
    std::vector<std::string> names = testing::TraceRecorder::take();
    std::erase_if(names, [](const std::string& name) { return !is_of_the_reducer(name); });
    EXPECT_THAT(names, ElementsAre("bucket 0", "bucket 1", "bucket 2", "end_of_backward"));
    EXPECT_EQ(testing::TraceRecorder::still_open(), 0);
  });
}

}  // namespace
}  // namespace trireme
