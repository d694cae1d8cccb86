#include "core/cuda/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/cuda/pinned.h"
#include "core/cuda/stream.h"
#include "core/cuda/transfer.h"
#include "tests/cuda/fake_device.h"

namespace trireme::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using trireme::testing::fake;
using trireme::testing::FakeDeviceGuard;

constexpr int64_t kMiB = 1 << 20;

int64_t of_kind(MemoryKind kind) {
  return memory_stats(0).allocated_bytes[static_cast<size_t>(kind)];
}

TEST(CudaMemory, IsCountedByKind) {
  FakeDeviceGuard guard;
  const MemoryStats before = memory_stats(0);
  void* block = nullptr;
  {
    const MemoryKindGuard kind(MemoryKind::kParameters);
    block = allocate(4 * kMiB, 0);
  }
  EXPECT_EQ(of_kind(MemoryKind::kParameters), 4 * kMiB);
  set_memory_kind(block, 0, MemoryKind::kGradients);
  EXPECT_EQ(of_kind(MemoryKind::kParameters), 0);
  EXPECT_EQ(of_kind(MemoryKind::kGradients), 4 * kMiB);
  free(block, 0);
  const MemoryStats after = memory_stats(0);
  EXPECT_EQ(after.total_allocated_bytes, before.total_allocated_bytes);
  EXPECT_GE(after.peak_allocated_bytes, before.total_allocated_bytes + 4 * kMiB);
  reset_peak_memory(0);
  EXPECT_EQ(memory_stats(0).peak_allocated_bytes, after.total_allocated_bytes);
}

TEST(CudaMemory, ASmallBlockComesBackWithoutTheDriver) {
  FakeDeviceGuard guard;
  void* const first = allocate(1000, 0);
  free(first, 0);
  const int calls = fake().call_count("malloc_from_pool_async");
  void* const second = allocate(1020, 0);
  EXPECT_EQ(second, first);
  EXPECT_EQ(fake().call_count("malloc_from_pool_async"), calls);
  free(second, 0);
}

TEST(CudaMemory, ABlockReturnsToTheStreamItCameFrom) {
  FakeDeviceGuard guard;
  const Stream other(0);
  void* block = nullptr;
  {
    const StreamGuard current(other);
    block = allocate(2 * kMiB, 0);
  }
  free(block, 0);
  EXPECT_EQ(fake().freed_on[block], other.get());
}

TEST(CudaMemory, ASmallBlockOfOneStreamDoesNotServeAnother) {
  FakeDeviceGuard guard;
  void* const mine = allocate(3000, 0);
  free(mine, 0);
  const Stream other(0);
  const StreamGuard current(other);
  void* const theirs = allocate(3000, 0);
  EXPECT_NE(theirs, mine);
  free(theirs, 0);
}

TEST(CudaMemory, SurvivesTheStreamItCameFrom) {
  FakeDeviceGuard guard;
  void* block = nullptr;
  {
    const Stream dying(0);
    const StreamGuard current(dying);
    block = allocate(2 * kMiB, 0);
    fake().order.clear();
  }
  EXPECT_EQ(fake().order.size(), 2u);  // the device's own stream waits for the dying one
  free(block, 0);
  EXPECT_EQ(fake().freed_on[block], default_stream(0));
}

TEST(CudaMemory, OutOfMemorySaysHowMuchIsWhereAndWhatToDo) {
  FakeDeviceGuard guard;
  release_cached_memory(0);
  fake().memory_bytes = fake().used_bytes + 100 * kMiB;
  const MemoryKindGuard kind(MemoryKind::kActivations);
  void* const block = allocate(60 * kMiB, 0);
  try {
    allocate(64 * kMiB, 0);
    FAIL() << "nothing was thrown";
  } catch (const OutOfMemory& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("out of memory on cuda:0, asked for 67108864 bytes (64 MiB)"),
                      HasSubstr("activations 60"), HasSubstr("device free 40 of"),
                      HasSubstr("largest block to be had 40"), HasSubstr("use a smaller batch")));
  }
  free(block, 0);
}

TEST(CudaMemory, CachedBlocksAreGivenUpBeforeARequestFails) {
  FakeDeviceGuard guard;
  release_cached_memory(0);
  fake().memory_bytes = fake().used_bytes + 2 * kMiB;
  std::vector<void*> small;
  for (int i = 0; i < 3; ++i) small.push_back(allocate(512 << 10, 0));
  for (void* block : small) free(block, 0);
  void* block = nullptr;
  EXPECT_NO_THROW(block = allocate(2 * kMiB, 0));
  free(block, 0);
}

TEST(CudaMemory, AWorkspaceIsCountedAndFreedBehindTheWork) {
  FakeDeviceGuard guard;
  void* data = nullptr;
  {
    const Workspace workspace(current_cuda(0), 3 * kMiB);
    data = workspace.as<char>();
    EXPECT_EQ(of_kind(MemoryKind::kWorkspace), 3 * kMiB);
  }
  EXPECT_EQ(of_kind(MemoryKind::kWorkspace), 0);
  EXPECT_EQ(fake().freed_on[data], default_stream(0));
}

TEST(CudaPinned, IsUsedAgainOnlyWhenTheCopyIsDone) {
  FakeDeviceGuard guard;
  fake().events_are_done = false;
  const Cuda device = current_cuda(0);
  void* const first = [&] {
    std::shared_ptr<void> buffer = allocate_pinned(5000);
    void* const data = buffer.get();
    keep_until_done(device, std::move(buffer), 5000);
    return data;
  }();
  EXPECT_NE(allocate_pinned(5000).get(), first);
  fake().events_are_done = true;
  keep_until_done(device, allocate_pinned(100), 100);  // looks for what is done
  const auto held = allocate_pinned(5000);
  const auto other = allocate_pinned(5000);
  EXPECT_TRUE(held.get() == first || other.get() == first);
}

TEST(CudaPinned, WaitsForTheOldestWhereMoreThanAGibibyteIsUnderWay) {
  FakeDeviceGuard guard;
  fake().events_are_done = false;
  const Cuda device = current_cuda(0);
  keep_until_done(device, allocate_pinned(100), 600 * kMiB);
  EXPECT_EQ(fake().call_count("event_synchronize"), 0);
  keep_until_done(device, allocate_pinned(100), 600 * kMiB);
  EXPECT_EQ(fake().call_count("event_synchronize"), 1);
  fake().events_are_done = true;
  keep_until_done(device, allocate_pinned(100), 100);
  EXPECT_EQ(fake().call_count("event_synchronize"), 1);
}

TEST(CudaPinned, IsNotNeededToCopy) {
  FakeDeviceGuard guard;
  fake().fail_next["host_alloc"] = cudaErrorMemoryAllocation;
  const std::vector<char> bytes(8 * kMiB, 'x');
  auto* const large = static_cast<char*>(allocate(std::ssize(bytes), 0));
  copy_to_device(0, large, bytes.data(), std::ssize(bytes));
  EXPECT_EQ(large[std::ssize(bytes) - 1], 'x');
  free(large, 0);
}

TEST(CudaPinned, IsNeverUsedAgainWhenNobodyCanTellWhenTheCopyIsDone) {
  FakeDeviceGuard guard;
  void* const block = allocate(8 * kMiB, 0);
  const std::vector<char> bytes(3 * kMiB);
  const void* const cached = allocate_pinned(std::ssize(bytes)).get();
  fake().fail_next["event_record"] = cudaErrorUnknown;
  EXPECT_THROW(copy_to_device(0, block, bytes.data(), std::ssize(bytes)), CudaError);
  EXPECT_NE(allocate_pinned(std::ssize(bytes)).get(), cached);
  fake().events_are_done = false;
  void* const third = allocate_pinned(std::ssize(bytes)).get();
  fake().fail_next["event_query"] = cudaErrorUnknown;
  EXPECT_THROW(copy_to_device(0, block, bytes.data(), std::ssize(bytes)), CudaError);
  EXPECT_NE(allocate_pinned(std::ssize(bytes)).get(), third);
  const void* const other = allocate_pinned(std::ssize(bytes)).get();
  fake().fail_next["event_record"] = cudaErrorUnknown;
  EXPECT_THROW(HostCopy(0, block, std::ssize(bytes)), CudaError);
  EXPECT_NE(allocate_pinned(std::ssize(bytes)).get(), other);
  free(block, 0);
}

TEST(CudaPinned, SaysWhenTheSystemLocksNoMore) {
  FakeDeviceGuard guard;
  fake().fail_next["host_alloc"] = cudaErrorMemoryAllocation;
  try {
    allocate_pinned(int64_t{3} << 30);
    FAIL() << "nothing was thrown";
  } catch (const OutOfMemory& error) {
    EXPECT_THAT(error.what(), HasSubstr("ulimit -l"));
  }
}

}  // namespace
}  // namespace trireme::cuda
