// Rank 0 may work longer than the deadline of a collective.
#include "launcher/rank_zero_work.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/error.h"
#include "tests/support/run_ranks.h"

namespace trireme {
namespace {

using ::trireme::testing::run_ranks_on;
using ::trireme::testing::TestBackend;

TEST(RankZeroWork, MayTakeLongerThanTheDeadline) {
  constexpr std::chrono::milliseconds kDeadline{1000};
  for (const TestBackend backend : {TestBackend::kLocal, TestBackend::kShm}) {
    run_ranks_on(backend, 2,
                 [&](Communicator& comm) {
                   bool worked = false;
                   run_on_rank_zero(comm, [&] {
                     std::this_thread::sleep_for(kDeadline * 3 / 2);
                     worked = true;
                   });
                   EXPECT_EQ(worked, comm.rank() == 0);
                   comm.barrier();
                 },
                 {.timeout = kDeadline});
  }
}

TEST(RankZeroWork, ThrowsWhereItRanAndEndsTheOthersWithTheAbort) {
  run_ranks_on(TestBackend::kLocal, 2, [](Communicator& comm) {
    try {
      run_on_rank_zero(comm, [] { throw IoError("no space"); });
      ADD_FAILURE() << "rank " << comm.rank() << " heard of no error";
    } catch (const IoError& error) {
      EXPECT_EQ(comm.rank(), 0);
      comm.abort(error.what());
    } catch (const CommError& error) {
      EXPECT_EQ(comm.rank(), 1);
      EXPECT_EQ(error.kind(), CommError::Kind::kAborted);
    }
  });
}

}  // namespace
}  // namespace trireme
