// Ranks under mpirun that stop or do not come. MPI itself would wait for them for ever.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "core/base/config.h"
#include "core/base/exit_code.h"
#include "distributed/mpi_session.h"
#include "tests/support/run_ranks.h"

namespace trireme {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using testing::RankOutcome;
using testing::RankPlace;
using testing::TestBackend;

constexpr CommOptions kPatient{std::chrono::seconds(60)};
constexpr CommOptions kImpatient{std::chrono::seconds(2)};

std::unique_ptr<Communicator> join(const RankPlace& place, const CommOptions& options) {
  return testing::make_test_communicator(TestBackend::kMpi, place, options);
}

/// How mpirun ended, with the output of all ranks. mpirun kills the others when one ends badly.
RankOutcome mpirun(int world_size, const std::function<void(const RankPlace&)>& body) {
  auto outcomes = testing::run_rank_processes(testing::StartWith::kMpirun, world_size, body);
  return outcomes.empty() ? RankOutcome{} : outcomes.front();
}

/// Runs fn, which must end with a CommError, and prints its text as one line.
template <typename Fn>
void print_comm_error(CommError::Kind kind, int rank, const Fn& fn) {
  try {
    fn();
    std::printf("rank %d got no error\n", rank);
  } catch (const CommError& error) {
    const char* const as_expected = error.kind() == kind ? "" : " another kind of error:";
    std::printf("rank %d says:%s %s\n", rank, as_expected, error.what());
  }
  std::fflush(stdout);
}

class Mpi : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::why_no_mpirun().empty()) GTEST_SKIP() << testing::why_no_mpirun();
  }
};

TEST_F(Mpi, InitialisationEndsWhenARankDoesNotReachIt) {
  const RankOutcome outcome = mpirun(3, [](const RankPlace& place) {
    if (place.rank == 2) raise(SIGSTOP);
    join(place, kImpatient);
  });
  if (testing::is_rank_process()) return;
  EXPECT_EQ(outcome.exit_code, kExitUnavailable) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("waited 2000 ms for the other ranks in MPI_Init_thread"));
}

TEST_F(Mpi, CommunicatorsAreNotMadeWithoutARankThatStops) {
  const RankOutcome outcome = mpirun(3, [](const RankPlace& place) {
    if constexpr (kHasMpi) start_mpi(place.rank, kPatient.timeout);
    if (place.rank == 2) raise(SIGSTOP);
    print_comm_error(CommError::Kind::kTimeout, place.rank, [&] { join(place, kImpatient); });
  });
  if (testing::is_rank_process()) return;
  EXPECT_THAT(outcome.output, HasSubstr("waited 2000 ms for the other ranks in MPI_Comm_idup"));
}

TEST_F(Mpi, MissingRankIsNamedAtTheDeadline) {
  const RankOutcome outcome = mpirun(3, [](const RankPlace& place) {
    const auto comm = join(place, kImpatient);
    comm->barrier();
    if (place.rank == 1) raise(SIGSTOP);
    std::vector<float> data(100'000);
    print_comm_error(CommError::Kind::kTimeout, place.rank, [&] {
      comm->all_reduce(data.data(), 100'000, DType::kF32, ReduceOp::kSum)->wait();
    });
  });
  if (testing::is_rank_process()) return;
  // mpirun may end the second of them before it has spoken.
  EXPECT_THAT(
      outcome.output,
      AnyOf(HasSubstr("rank 0 says: all_reduce #2 (sum of 100000 f32, 400000 bytes): rank 0 "
                      "on "),
            HasSubstr("rank 2 says: all_reduce #2 (sum of 100000 f32, 400000 bytes): rank 2 "
                      "on ")));
  EXPECT_THAT(outcome.output, HasSubstr("waited 2000 ms; arrived: rank 0, 2; missing: rank 1; "));
}

TEST_F(Mpi, AbortReachesARankThatWaitsForAMessage) {
  const RankOutcome outcome = mpirun(2, [](const RankPlace& place) {
    const auto comm = join(place, kPatient);
    comm->barrier();
    if (place.rank == 1) comm->abort("disk full");
    uint8_t data[100] = {};
    print_comm_error(CommError::Kind::kAborted, place.rank,
                     [&] { comm->recv(data, 100, 1 - place.rank)->wait(); });
    // Its end would make mpirun end rank 0 too.
    while (place.rank == 1) pause();
  });
  if (testing::is_rank_process()) return;
  EXPECT_THAT(
      outcome.output,
      HasSubstr("rank 0 says: recv of 100 bytes from rank 1: aborted by rank 1: disk full"));
}

}  // namespace
}  // namespace trireme
