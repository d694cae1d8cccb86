// Processes of an shm group that die, stop or do not come. The others must say who, and end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "core/base/sanitizer.h"
#include "distributed/node_group.h"
#include "tests/support/comm_error.h"
#include "tests/support/run_ranks.h"

namespace trireme {
namespace {

using ::testing::AnyOf;
using testing::comm_error;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RankOutcome;
using testing::RankPlace;
using testing::run_rank_processes;
using testing::StartWith;
using testing::TestBackend;

// Far beyond what detection needs: a test that reaches it gets kTimeout instead of kPeerLost.
constexpr CommOptions kPatient{std::chrono::seconds(100)};

std::unique_ptr<Communicator> join(const RankPlace& place, const CommOptions& options = kPatient) {
  return testing::make_test_communicator(TestBackend::kShm, place, options);
}

void expect_passed(const RankOutcome& outcome) {
  EXPECT_TRUE(outcome.exit_code == 0 && outcome.signal == 0) << outcome.output;
}

/// What is left in /dev/shm of this process's runs; other tests have theirs there at the same time.
std::set<std::string> shared_memory_names() {
  const std::string of_mine = concat("-test-", getpid(), "-");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().find(of_mine) != std::string::npos) {
      names.insert(entry.path());
    }
  }
  return names;
}

TEST(PeerDeath, KilledBetweenCollectives) {
  const auto outcomes = run_rank_processes(StartWith::kFork, 3, [](const RankPlace& place) {
    auto comm = join(place);
    comm->barrier();
    if (place.rank == 1) raise(SIGKILL);
    std::vector<float> data(100'000);
    const std::string text = comm_error(CommError::Kind::kPeerLost, [&] {
      comm->all_reduce(data.data(), 100'000, DType::kF32, ReduceOp::kSum)->wait();
    });
    EXPECT_THAT(text, HasSubstr("all_reduce #2 (sum of 100000 f32, 400000 bytes)"));
    EXPECT_THAT(text, HasSubstr("rank 1 (process "));
    EXPECT_THAT(text, HasSubstr("is gone"));
    // Broken once, broken for good, and at once.
    EXPECT_EQ(comm_error(CommError::Kind::kPeerLost, [&] { comm->barrier(); }), text);
  });
  if (testing::is_rank_process()) return;
  expect_passed(outcomes[0]);
  EXPECT_EQ(outcomes[1].signal, SIGKILL);
  expect_passed(outcomes[2]);
  EXPECT_THAT(shared_memory_names(), IsEmpty());
}

TEST(PeerDeath, KilledInsideACollective) {
  const auto outcomes = run_rank_processes(StartWith::kFork, 2, [](const RankPlace& place) {
    auto comm = join(place);
    constexpr int64_t kCount = 4'000'000;
    const std::shared_ptr<void> memory = comm->allocate(kCount * 4);
    const auto reduce = [&] {
      return comm->all_reduce(memory.get(), kCount, DType::kF32, ReduceOp::kSum);
    };
    for (int i = 0; i < 5; ++i) reduce()->wait();
    if (place.rank == 1) {
      const WorkPtr work = reduce();  // runs in the background from here on
      raise(SIGKILL);
    }
    const std::string text = comm_error(CommError::Kind::kPeerLost, [&] {
      for (int i = 0; i < 3; ++i) reduce()->wait();
    });
    EXPECT_THAT(text, HasSubstr("rank 1 (process "));
  });
  if (testing::is_rank_process()) return;
  expect_passed(outcomes[0]);
  EXPECT_EQ(outcomes[1].signal, SIGKILL);
}

TEST(PeerDeath, ExitsWithoutAWord) {
  const auto outcomes = run_rank_processes(StartWith::kFork, 3, [](const RankPlace& place) {
    auto comm = join(place);
    if (place.rank == 2) _exit(7);
    EXPECT_THAT(comm_error(CommError::Kind::kPeerLost, [&] { comm->barrier(); }),
                HasSubstr("rank 2 (process "));
  });
  if (testing::is_rank_process()) return;
  expect_passed(outcomes[0]);
  expect_passed(outcomes[1]);
  EXPECT_EQ(outcomes[2].exit_code, 7);
}

TEST(PeerDeath, LeavesWhileOthersContinue) {
  const auto outcomes = run_rank_processes(StartWith::kFork, 2, [](const RankPlace& place) {
    auto comm = join(place);
    comm->barrier();
    if (place.rank == 1) return;
    EXPECT_THAT(comm_error(CommError::Kind::kPeerLost, [&] { comm->barrier(); }),
                AnyOf(HasSubstr("has closed its communicator"), HasSubstr("is gone")));
  });
  for (const RankOutcome& outcome : outcomes) expect_passed(outcome);
}

TEST(PeerDeath, SenderIsKilled) {
  const auto outcomes = run_rank_processes(StartWith::kFork, 2, [](const RankPlace& place) {
    auto comm = join(place);
    comm->barrier();
    if (place.rank == 1) raise(SIGKILL);
    std::vector<uint8_t> data(100);
    EXPECT_THAT(
        comm_error(CommError::Kind::kPeerLost, [&] { comm->recv(data.data(), 100, 1)->wait(); }),
        HasSubstr("recv of 100 bytes from rank 1: rank 1 (process "));
  });
  if (testing::is_rank_process()) return;
  expect_passed(outcomes[0]);
}

TEST(PeerDeath, StoppedProcessRunsIntoTheDeadline) {
  const auto outcomes = run_rank_processes(StartWith::kFork, 2, [](const RankPlace& place) {
    // Processes start and meet under this deadline too, and may be slow to do so.
    auto comm = join(place, {std::chrono::seconds(5)});
    const pid_t own = getpid();
    pid_t pids[2];
    comm->all_gather(&own, pids, sizeof(own))->wait();
    if (place.rank == 1) raise(SIGSTOP);  // rank 0 wakes it again
    const std::string text = comm_error(CommError::Kind::kTimeout, [&] { comm->barrier(); });
    EXPECT_THAT(text, HasSubstr("barrier #2: rank 0 on "));
    EXPECT_THAT(text, HasSubstr("waited 5000 ms; arrived: rank 0; missing: rank 1 (in its "
                                "collective #1)"));
    if (place.rank == 0) kill(pids[1], SIGCONT);
  });
  for (const RankOutcome& outcome : outcomes) expect_passed(outcome);
}

TEST(LocalFailure, IsToldToThePeers) {
  if (kAddressSanitizer) GTEST_SKIP() << "UBSan finds errors everywhere without a free descriptor";
  const auto outcomes = run_rank_processes(StartWith::kFork, 2, [](const RankPlace& place) {
    auto comm = join(place, {std::chrono::seconds(10)});
    const ProcessIdentity own = this_process();
    ProcessIdentity all[2];
    comm->all_gather(&own, all, sizeof(own))->wait();
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    if (place.rank == 1) {
      // Shared memory comes as an open file, for which there is no room now.
      const rlimit none{3, files.rlim_max};
      setrlimit(RLIMIT_NOFILE, &none);
    }
    const auto kind = place.rank == 1 ? CommError::Kind::kSystem : CommError::Kind::kAborted;
    const std::string text = comm_error(kind, [&] { comm->allocate(1 << 20); });
    setrlimit(RLIMIT_NOFILE, &files);
    EXPECT_THAT(text, HasSubstr("check the limit of open files"));
    EXPECT_THAT(text, HasSubstr(place.rank == 0 ? "aborted by rank 1: " : "shm rendezvous on "));
    // The end of rank 1 would be noticed as well.
    while (place.rank == 1 && is_alive(all[0])) std::this_thread::yield();
  });
  for (const RankOutcome& outcome : outcomes) expect_passed(outcome);
}

TEST(ProcessIdentity, ProcessThatCannotBeLookedAtCountsAsAlive) {
  const ProcessIdentity self = this_process();
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const rlimit none{3, files.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const bool alive = is_alive(self);
  setrlimit(RLIMIT_NOFILE, &files);
  EXPECT_TRUE(alive);
  EXPECT_FALSE(is_alive({self.pid, self.start_time + 1}));
}

TEST(Rendezvous, KilledWhileOthersAreStillMissing) {
  const auto outcomes = run_rank_processes(StartWith::kFork, 3, [](const RankPlace& place) {
    const auto enter = [&] { NodeGroup(place.run_id, place.rank, 3, kPatient.timeout).take(); };
    if (place.rank == 1) {
      const NodeGroup group(place.run_id, 1, 3, kPatient.timeout);
      raise(SIGKILL);
    }
    if (place.rank == 2) return;
    EXPECT_THAT(comm_error(CommError::Kind::kPeerLost, enter), HasSubstr("rank 1 (process "));
  });
  if (testing::is_rank_process()) return;
  expect_passed(outcomes[0]);
}

TEST(Rendezvous, RankZeroIsKilled) {
  const auto outcomes = run_rank_processes(StartWith::kFork, 2, [](const RankPlace& place) {
    if (place.rank == 0) {
      const NodeGroup group(place.run_id, 0, 2, kPatient.timeout);
      raise(SIGKILL);
    }
    NodeGroup group(place.run_id, 1, 2, kPatient.timeout);
    EXPECT_THAT(comm_error(CommError::Kind::kPeerLost, [&] { group.take(); }),
                HasSubstr("rank 0 is gone"));
  });
  if (testing::is_rank_process()) return;
  expect_passed(outcomes[1]);
}

}  // namespace
}  // namespace trireme
