#include "core/data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "core/base/error.h"
#include "core/data/image_data.h"
#include "core/tensor/create.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using testing::message_of;

// Sample i is the number i, its target the step; samples from `bad` on cannot be read.
class Numbers final : public Dataset {
 public:
  explicit Numbers(int64_t size, int64_t bad = -1) : size_(size), bad_(bad < 0 ? size : bad) {}

  int64_t size() const override { return size_; }
  Batch allocate(int64_t count) const override {
    const int ahead = ++begun - taken;
    if (ahead > furthest_ahead) furthest_ahead = ahead;
    begun.notify_all();
    return {empty({count}, {DType::kI64}), empty({count}, {DType::kI64}), count, 0};
  }
  void fill(const Batch& batch, int64_t place, int64_t index, int64_t step) const override {
    if (index >= bad_) throw DataError(concat("sample ", index, " is damaged"));
    batch.inputs.data<int64_t>()[place] = index;
    batch.targets.data<int64_t>()[place] = step;
  }

  std::atomic<int> taken = 0;  // set by the test before it takes a batch
  mutable std::atomic<int> begun = 0, furthest_ahead = 0;

 private:
  int64_t size_, bad_;
};

// Its first batch is complete when two threads have met in it.
class Meeting final : public Dataset {
 public:
  int64_t size() const override { return 8; }
  Batch allocate(int64_t count) const override {
    return {empty({count}, {DType::kI64}), empty({count}, {DType::kI64}), count, 0};
  }
  void fill(const Batch&, int64_t, int64_t, int64_t) const override {
    const std::lock_guard lock(mutex_);
    there_.insert(std::this_thread::get_id());
    two_.notify_all();
    two_.wait(mutex_, [this] { return there_.size() >= 2; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable_any two_;
  mutable std::set<std::thread::id> there_;
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
    EXPECT_THAT(batch->targets.to_vector<int64_t>(), Each(step));
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

TEST(Loader, AnyNumberOfThreadsGivesTheSameBits) {
  const auto images = std::make_shared<LabelledImages>();
  images->rows = images->cols = 9;
  for (int i = 0; i < 100; ++i) {
    images->labels.push_back(static_cast<uint8_t>(i));
    for (int p = 0; p < 81; ++p) images->pixels.push_back(static_cast<uint8_t>(i * 7 + p * p));
  }
  const auto data = std::make_shared<ImageDataset>(images, 0, 100);
  data->augment_with({.crop_padding = 2, .mirror = true, .seed = 4});
  const auto sampler = std::make_shared<PermutationSampler>(100, 33, 11);
  for (const int threads : {2, 3, 8}) {
    Loader one(data, sampler), several(data, sampler, {.threads = threads, .capacity = 5});
    for (int64_t step = 0; step < 30; ++step) {
      const Batch expected = *one.next(), batch = *several.next();
      ASSERT_EQ(batch.inputs.to_vector<float>(), expected.inputs.to_vector<float>());
      ASSERT_EQ(batch.targets.to_vector<int64_t>(), expected.targets.to_vector<int64_t>());
    }
  }
}

TEST(Loader, ThreadsShareOneBatch) {
  Loader loader(std::make_shared<Meeting>(), in_order(8, 8), {.threads = 2, .capacity = 1});
  EXPECT_EQ(loader.next()->samples, 8);
}

TEST(Loader, ValidationSeesSamplesAsTheyAre) {
  Loader loader(std::make_shared<Numbers>(10), in_order(10, 4), {.augment = false});
  EXPECT_THAT(loader.next()->targets.to_vector<int64_t>(), Each(Dataset::kUnchanged));
}

TEST(Loader, ARankMayHaveNoShareOfTheLastBatch) {
  // Five samples, four at a time: of the fifth, the first of two ranks has nothing.
  const auto sampler = std::make_shared<EvenSampler>(5, 5, 4, Shard{0, 2});
  Loader loader(std::make_shared<Numbers>(5), sampler, {.threads = 2});
  EXPECT_EQ(loader.next()->samples, 2);
  EXPECT_EQ(loader.next()->samples, 0);
  EXPECT_FALSE(loader.next());
}

TEST(Loader, AnErrorArrivesAtTheTurnOfItsBatch) {
  for (const int threads : {1, 4}) {
    // Of the damaged samples, the one that stands first is named.
    Loader loader(std::make_shared<Numbers>(40, 28), in_order(40, 8), {.threads = threads});
    for (int64_t step = 0; step < 3; ++step) EXPECT_TRUE(loader.next());
    const auto next = [&] { loader.next(); };
    EXPECT_THAT(message_of<DataError>(next), HasSubstr("sample 28 is damaged"));
    EXPECT_THAT(message_of<DataError>(next), HasSubstr("sample 28 is damaged"));
  }
}

TEST(Loader, PreparesAheadButNoFurtherThanItsCapacity) {
  for (const int threads : {1, 3}) {
    const auto data = std::make_shared<Numbers>(1000);
    Loader loader(data, in_order(1000, 1), {.threads = threads, .capacity = 3});
    // Three are begun without any call of next().
    for (int n = data->begun; n < 3; n = data->begun) data->begun.wait(n);
    for (; data->taken < 900;) {
      ++data->taken;
      loader.next();
    }
    EXPECT_EQ(data->furthest_ahead, 3);
  }
}

TEST(Loader, CanBeDestroyedAtAnyMoment) {
  for (int taken = 0; taken < 20; ++taken) {
    Loader loader(std::make_shared<Numbers>(100), std::make_shared<RandomSampler>(100, 6, 1),
                  {.threads = 1 + taken % 3});
    for (int i = 0; i < taken; ++i) loader.next();
  }
}

TEST(Loader, RefusesImpossibleOptions) {
  const auto data = std::make_shared<Numbers>(10);
  EXPECT_THROW(Loader(data, in_order(10, 1), {.capacity = 0}), InvalidArgument);
  EXPECT_THROW(Loader(data, in_order(10, 1), {.threads = 0}), InvalidArgument);
  EXPECT_THAT(
      message_of<InvalidArgument>([&] { Loader(data, in_order(10, 1), {.first_step = 11}); }),
      HasSubstr("[0, 10], got 11"));
}

}  // namespace
}  // namespace trireme
