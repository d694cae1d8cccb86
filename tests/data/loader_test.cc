#include "core/data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "core/base/error.h"
#include "core/tensor/create.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

// Sample i is the number i; sample `bad` cannot be read.
class Numbers final : public Dataset {
 public:
  explicit Numbers(int64_t size, int64_t bad = -1) : size_(size), bad_(bad) {}

  int64_t size() const override { return size_; }
  Batch collate(std::span<const int64_t> indices) const override {
    const int ahead = ++collated - taken;
    if (ahead > furthest_ahead) furthest_ahead = ahead;
    collated.notify_all();
    for (const int64_t i : indices) {
      if (i == bad_) throw DataError("sample 7 is damaged");
    }
    const Tensor values = from_span(indices, {static_cast<int64_t>(indices.size())});
    return {values, values, values.numel(), 0};
  }

  std::atomic<int> taken = 0;  // set by the test before it takes a batch
  mutable std::atomic<int> collated = 0, furthest_ahead = 0;

 private:
  int64_t size_, bad_;
};

std::shared_ptr<const Sampler> in_order(int64_t size, int64_t batch) {
  return std::make_shared<EvenSampler>(size, size, batch);
}

TEST(Loader, GivesEveryBatchInOrderAndThenTheEnd) {
  const auto sampler = in_order(10, 4);
  Loader loader(std::make_shared<Numbers>(10), sampler);
  for (int64_t step = 0; step < 3; ++step) {
    const std::optional<Batch> batch = loader.next();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->inputs.to_vector<int64_t>(), sampler->indices(step));
  }
  EXPECT_FALSE(loader.next());
  EXPECT_FALSE(loader.next());
}

TEST(Loader, AResumedRunSeesWhatAnUninterruptedOneSees) {
  const auto data = std::make_shared<Numbers>(1000);
  const auto sampler = std::make_shared<PermutationSampler>(1000, 8, 11);
  Loader whole(data, sampler);
  for (int64_t step = 0; step < 130; ++step) whole.next();  // into the second epoch
  Loader resumed(data, sampler, {.first_step = 130});
  for (int64_t step = 130; step < 140; ++step) {
    EXPECT_EQ(whole.next()->inputs.to_vector<int64_t>(),
              resumed.next()->inputs.to_vector<int64_t>());
  }
}

TEST(Loader, AnErrorArrivesAfterTheBatchesBeforeIt) {
  Loader loader(std::make_shared<Numbers>(10, 7), in_order(10, 2));
  for (int64_t step = 0; step < 3; ++step) EXPECT_TRUE(loader.next());
  const auto next = [&] { loader.next(); };
  EXPECT_THAT(message_of<DataError>(next), HasSubstr("sample 7 is damaged"));
  EXPECT_THAT(message_of<DataError>(next), HasSubstr("sample 7 is damaged"));
}

TEST(Loader, PreparesAheadButNoFurtherThanItsCapacity) {
  const auto data = std::make_shared<Numbers>(1000);
  Loader loader(data, in_order(1000, 1), {.capacity = 3});
  // Three wait in the queue and a fourth in the thread's hand, without any call of next().
  for (int n = data->collated; n < 4; n = data->collated) data->collated.wait(n);
  for (; data->taken < 900;) {
    ++data->taken;
    loader.next();
  }
  EXPECT_EQ(data->furthest_ahead, 4);
}

TEST(Loader, CanBeDestroyedAtAnyMoment) {
  for (int taken = 0; taken < 20; ++taken) {
    Loader loader(std::make_shared<Numbers>(100), std::make_shared<RandomSampler>(100, 2, 1));
    for (int i = 0; i < taken; ++i) loader.next();
  }
}

TEST(Loader, RefusesImpossibleOptions) {
  const auto data = std::make_shared<Numbers>(10);
  EXPECT_THROW(Loader(data, in_order(10, 1), {.capacity = 0}), InvalidArgument);
  EXPECT_THAT(
      message_of<InvalidArgument>([&] { Loader(data, in_order(10, 1), {.first_step = 11}); }),
      HasSubstr("[0, 10], got 11"));
}

}  // namespace
}  // namespace trireme
