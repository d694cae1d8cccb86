// The buckets' second plan, in the order that the first backward showed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/tensor/allocator.h"
#include "distributed/ddp.h"
#include "distributed/run_ranks.h"
#include "tests/distributed/chain.h"

namespace trireme {
namespace {

using testing::Chain;
using ::testing::ElementsAre;

constexpr int64_t kMiB = 1 << 20;

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
    Chain model(kCount, kMiB, Chain::Order::kFirstToLast);
    DistributedDataParallel ddp(model, comm, {.sizes = {kMiB, kMiB, kMiB}});
    const Tensor loss = model.loss();
    int64_t before = 0;  // when all gradients are there, and what made them is gone
    const auto hook = register_accumulate_hook(model.parameters[kCount - 1], [&] {
      reset_peak_memory();
      before = memory_stats().total_allocated_bytes;
    });
    ddp.backward(loss);
    EXPECT_THAT(ddp.reducer().buckets().front().params, ElementsAre(0));
    EXPECT_LE(memory_stats().peak_allocated_bytes - before, 3 * kMiB);
    for (const Tensor& p : model.parameters) {
      EXPECT_EQ(p.grad().to_vector<float>(), std::vector<float>(kMiB / 4, 1));
    }
  });
}

}  // namespace
}  // namespace trireme
