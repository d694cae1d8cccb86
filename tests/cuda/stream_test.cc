#include "core/cuda/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "core/cuda/index_error.h"
#include "tests/cuda/fake_device.h"

namespace trireme::cuda {
namespace {

using ::testing::HasSubstr;
using trireme::testing::fake;
using trireme::testing::FakeDeviceGuard;

TEST(CudaStream, AGuardMakesAStreamCurrentForItsThread) {
  FakeDeviceGuard guard;
  const cudaStream_t own = current_stream(0);
  EXPECT_EQ(own, default_stream(0));
  const Stream other(0);
  {
    const StreamGuard current(other);
    EXPECT_EQ(current_stream(0), other.get());
    EXPECT_EQ(current_cuda(0).stream, other.get());
    std::thread([&] { EXPECT_EQ(current_stream(0), own); }).join();
  }
  EXPECT_EQ(current_stream(0), own);
}

TEST(CudaStream, DevicesHaveStreamsOfTheirOwn) {
  FakeDeviceGuard guard;
  fake().devices = 2;
  EXPECT_NE(current_stream(0), current_stream(1));
  EXPECT_EQ(current_stream(0), default_stream(0));
}

TEST(CudaEvent, ComesFromThePoolTheSecondTime) {
  FakeDeviceGuard guard;
  const cudaEvent_t first = std::make_unique<Event>(0)->get();
  const int made = fake().call_count("event_create_with_flags");
  const Event again(0);
  EXPECT_EQ(again.get(), first);
  EXPECT_EQ(fake().call_count("event_create_with_flags"), made);
}

TEST(CudaEvent, OrdersStreamsWithoutTheHost) {
  FakeDeviceGuard guard;
  const Stream comm(0, Priority::kHigh);
  Event ready(0);
  fake().order.clear();
  const int64_t syncs = sync_count();
  ready.record(current_stream(0));
  ready.make_wait(comm.get());
  const int e = trireme::testing::number_of(ready.get());
  EXPECT_EQ(fake().order[0],
            concat("record ", e, " on ", trireme::testing::number_of(current_stream(0))));
  EXPECT_EQ(fake().order[1], concat("wait ", e, " on ", trireme::testing::number_of(comm.get())));
  EXPECT_EQ(sync_count(), syncs);
}

TEST(CudaEvent, TellsWhetherItIsDone) {
  FakeDeviceGuard guard;
  Event event(0);
  event.record(current_stream(0));
  fake().events_are_done = false;
  EXPECT_FALSE(event.is_done());
  fake().events_are_done = true;
  EXPECT_TRUE(event.is_done());
  fake().fail_next["event_query"] = cudaErrorLaunchFailure;
  EXPECT_THROW(event.is_done(), CudaError);
}

TEST(CudaSynchronize, IsCountedAndThrowsWhatWentWrong) {
  FakeDeviceGuard guard;
  const int64_t before = sync_count();
  synchronize(0);
  EXPECT_EQ(sync_count(), before + 1);
  fake().fail_next["stream_synchronize"] = cudaErrorIllegalAddress;
  EXPECT_THROW(synchronize(0), CudaError);
  Event event(0);
  event.synchronize();
  EXPECT_EQ(sync_count(), before + 3);
}

// What report_bad_index of kernels/cuda/index_check.cuh does.
void report(const IndexCheck& check, int64_t value, int64_t bound, int64_t position) {
  *check.slot = {IndexErrorSlot::kWritten, check.op, value, bound, position};
}

TEST(CudaIndexError, IsThrownAtTheNextWaitUnderItsOp) {
  FakeDeviceGuard guard;
  const IndexCheck check = index_check("embedding", 0);
  EXPECT_NO_THROW(synchronize(0));
  report(check, 12, 10, 3);
  try {
    synchronize(0);
    FAIL() << "nothing was thrown";
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(), "embedding: index 12 at position 3 must be in [0, 10)");
  }
  EXPECT_NO_THROW(synchronize(0));
  report(index_check("cross_entropy", 0), -1, 10, 0);
  Event event(0);
  EXPECT_THROW(event.synchronize(), InvalidArgument);
}

}  // namespace
}  // namespace trireme::cuda
