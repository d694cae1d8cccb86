// An error inside backward, while all-reduces of the same backward run: no memory is freed under
// them, and every rank learns the cause.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "core/autograd/backward.h"
#include "distributed/ddp.h"
#include "distributed/run_ranks.h"
#include "tests/distributed/chain.h"
#include "tests/support/run_ranks.h"

namespace trireme {
namespace {

using ::testing::AnyOf;
using testing::Chain;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RankPlace;
using testing::run_rank_processes;
using testing::StartWith;
using testing::TestBackend;

constexpr int kRanks = 3, kFaultyRank = 1;
constexpr int64_t kMiB = 1 << 20;
constexpr CommOptions kOptions{std::chrono::seconds(60)};

using Backward = std::function<void(DistributedDataParallel&, const Tensor& loss)>;

void ddp_backward(DistributedDataParallel& ddp, const Tensor& loss) { ddp.backward(loss); }

// One backward, in which the faulty rank throws when the buckets of the last two parameters are
// under way. What this rank learns of it, after model and DDP are gone.
std::string error_of_backward(Communicator& comm, const Backward& run = ddp_backward) {
  try {
    Chain model(4, 4 * kMiB);  // large, so that reductions take a while
    DistributedDataParallel ddp(model, comm, {.sizes = {kMiB, kMiB, kMiB}});
    const auto hook = register_accumulate_hook(model.parameters[1], [&] {
      if (comm.rank() == kFaultyRank) throw Error("bad sample");
    });
    run(ddp, model.loss());
    return "nothing was thrown";
  } catch (const Error& error) {
    return error.what();
  }
}

void expect_cause(int rank, const std::string& text) {
  if (rank == kFaultyRank) {
    EXPECT_EQ(text, "bad sample");
  } else {
    EXPECT_THAT(text, HasSubstr("aborted by rank 1: bad sample")) << "on rank " << rank;
  }
}

TEST(BackwardFailure, IsSurvivedByRanksThatAreThreads) {
  for (int round = 0; round < 8; ++round) {
    run_ranks(kRanks,
              [](Communicator& comm) { expect_cause(comm.rank(), error_of_backward(comm)); });
  }
}

TEST(BackwardFailure, IsSurvivedWithoutTheHelpOfDdp) {
  run_ranks(kRanks, [](Communicator& comm) {
    const std::string text = error_of_backward(
        comm, [](DistributedDataParallel&, const Tensor& loss) { backward(loss); });
    if (comm.rank() == kFaultyRank) {
      EXPECT_EQ(text, "bad sample");
    } else {
      // The second where no all-reduce of the faulty rank was under way any more.
      EXPECT_THAT(text, AnyOf(HasSubstr("aborted by rank 1: gradient buckets destroyed during"),
                              HasSubstr("rank 1 (process ")));
    }
  });
}

TEST(BackwardFailure, IsSurvivedByProcessesOfOneNode) {
  const auto outcomes = run_rank_processes(StartWith::kFork, kRanks, [](const RankPlace& place) {
    for (int round = 0; round < 5; ++round) {
      RankPlace here = place;
      here.run_id += concat("-", round);
      const auto comm = testing::make_test_communicator(TestBackend::kShm, here, kOptions);
      expect_cause(place.rank, error_of_backward(*comm));
    }
  });
  for (const auto& outcome : outcomes) {
    EXPECT_TRUE(outcome.exit_code == 0 && outcome.signal == 0) << outcome.output;
  }
}

// mpirun ends the others when a rank leaves after a failure, so all stay until all were heard.
void leave_together(int rank) {
  std::error_code ignored;
  const std::string folder = ::testing::TempDir() + "heard-" + std::getenv("PMIX_NAMESPACE");
  std::filesystem::create_directories(folder, ignored);
  std::ofstream(folder + "/" + std::to_string(rank)) << "here";
  const auto heard = [&] {
    const std::filesystem::directory_iterator files(folder, ignored);
    return ignored ? kRanks : static_cast<int>(std::distance(begin(files), end(files)));
  };
  while (heard() < kRanks) std::this_thread::yield();
  std::filesystem::remove_all(folder, ignored);
}

TEST(BackwardFailure, IsSurvivedByRanksOverMpi) {
  if (!testing::why_no_mpirun().empty()) GTEST_SKIP() << testing::why_no_mpirun();
  for (int round = 0; round < 3; ++round) {
    const auto outcomes =
        run_rank_processes(StartWith::kMpirun, kRanks, [](const RankPlace& place) {
          const auto comm = testing::make_test_communicator(TestBackend::kMpi, place, kOptions);
          std::printf("rank %d says: %s\n", place.rank, error_of_backward(*comm).c_str());
          std::fflush(stdout);
          leave_together(place.rank);
        });
    if (testing::is_rank_process()) continue;
    EXPECT_THAT(outcomes[0].output, HasSubstr("rank 1 says: bad sample\n"));
    for (const int rank : {0, 2}) {
      EXPECT_THAT(outcomes[0].output,
                  ::testing::ContainsRegex(
                      concat("rank ", rank, " says: .*: aborted by rank 1: ", "bad sample\n")));
    }
    EXPECT_THAT(outcomes[0].output, Not(HasSubstr("on signal"))) << "a rank crashed";
  }
}

}  // namespace
}  // namespace trireme
