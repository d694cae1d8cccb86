// Failures without a death: every rank gets the same clear error, soon.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/base/error.h"
#include "distributed/board.h"
#include "distributed/env.h"
#include "distributed/local_communicator.h"
#include "distributed/make_communicator.h"
#include "distributed/page_memory.h"
#include "distributed/run_ranks.h"
#include "tests/support/comm_error.h"
#include "tests/support/message_of.h"
#include "tests/support/run_ranks.h"

namespace trireme {
namespace {

using testing::comm_error;
using ::testing::HasSubstr;
using testing::message_of;
using testing::RankCase;
using testing::run_rank_processes;
using testing::run_ranks_on;
using testing::TestBackend;

class Failures : public ::testing::TestWithParam<RankCase> {
 protected:
  void run(const std::function<void(Communicator&)>& body) {
    run_ranks_on(GetParam().backend, GetParam().world_size, body);
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, Failures,
                         ::testing::Values(RankCase{TestBackend::kLocal, 3},
                                           RankCase{TestBackend::kShm, 3},
                                           RankCase{TestBackend::kMpi, 2}),
                         [](const auto& each) { return testing::case_name(each.param); });

TEST_P(Failures, DifferentCountsAreNamedOnEveryRank) {
  run([](Communicator& comm) {
    std::vector<float> data(20'000);
    comm.all_reduce(data.data(), 5, DType::kF32, ReduceOp::kSum)->wait();
    const int64_t count = comm.rank() == 1 ? 20'000 : 10'000;
    const std::string text = comm_error(CommError::Kind::kMismatch, [&] {
      comm.all_reduce(data.data(), count, DType::kF32, ReduceOp::kSum)->wait();
    });
    EXPECT_THAT(text, HasSubstr("rank 0 called all_reduce #2 (sum of 10000 f32, 40000 bytes)"));
    EXPECT_THAT(text, HasSubstr("rank 1 called all_reduce #2 (sum of 20000 f32, 80000 bytes)"));
    comm_error(CommError::Kind::kMismatch, [&] { comm.barrier(); });
  });
}

TEST_P(Failures, DifferentCollectivesDtypesOpsAndRootsAreMismatches) {
  const auto expect_mismatch = [&](const std::function<void(Communicator&)>& call,
                                   const char* text) {
    run([&](Communicator& comm) {
      EXPECT_THAT(comm_error(CommError::Kind::kMismatch, [&] { call(comm); }), HasSubstr(text));
    });
  };
  double data[8] = {};
  expect_mismatch(
      [&](Communicator& comm) {
        if (comm.rank() == 0) return comm.barrier();
        comm.broadcast(data, 8, 0)->wait();
      },
      "rank 0 called barrier #1, rank 1 called broadcast #1 (8 bytes from rank 0)");
  expect_mismatch(
      [&](Communicator& comm) {
        comm.all_reduce(data, 4, comm.rank() == 0 ? DType::kF32 : DType::kI32, ReduceOp::kSum)
            ->wait();
      },
      "of 4 i32");
  expect_mismatch(
      [&](Communicator& comm) {
        comm.all_reduce(data, 4, DType::kF32, comm.rank() == 0 ? ReduceOp::kMax : ReduceOp::kSum)
            ->wait();
      },
      "max of 4 f32");
  expect_mismatch(
      [&](Communicator& comm) { comm.broadcast(data, 8, comm.rank() == 0 ? 0 : 1)->wait(); },
      "from rank 1");
  expect_mismatch([&](Communicator& comm) { comm.allocate(comm.rank() == 0 ? 100 : 200); },
                  "allocate #1 (200 bytes)");
}

TEST_P(Failures, MessageOfAnotherLength) {
  run([](Communicator& comm) {
    uint8_t data[200] = {};
    if (comm.rank() == 0) comm.send(data, 100, 1)->wait();
    if (comm.rank() == 1) {
      const std::string text =
          comm_error(CommError::Kind::kMismatch, [&] { comm.recv(data, 200, 0)->wait(); });
      EXPECT_THAT(text, HasSubstr("recv of 200 bytes from rank 0"));
    }
  });
}

TEST(Abort, EndsTheWaitOfEveryRank) {
  for (const TestBackend backend : {TestBackend::kLocal, TestBackend::kShm}) {
    run_ranks_on(backend, 3, [](Communicator& comm) {
      std::vector<float> data(100'000);
      if (comm.rank() == 2) comm.abort("disk full");
      const std::string text = comm_error(CommError::Kind::kAborted, [&] {
        comm.all_reduce(data.data(), 100'000, DType::kF32, ReduceOp::kSum)->wait();
      });
      EXPECT_THAT(text, HasSubstr("aborted by rank 2: disk full"));
      comm_error(CommError::Kind::kAborted, [&] { comm.barrier(); });
    });
  }
}

/// Floats that end as memory with their owner: who still touches them crashes.
class Pages {
 public:
  explicit Pages(int64_t count) : bytes_(static_cast<size_t>(count) * sizeof(float)) {
    data_ = static_cast<float*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
  }
  ~Pages() { munmap(data_, bytes_); }
  Pages(const Pages&) = delete;
  float* get() const { return data_; }

 private:
  size_t bytes_;
  float* data_;
};

TEST(Abort, ReturnsBuffersOnlyWhenNoOtherRankUsesThem) {
  constexpr int64_t kCount = 500'000;
  for (int round = 0; round < 40; ++round) {
    auto ranks = make_local_communicators(4);
    std::vector<std::thread> threads;
    for (auto& comm : ranks) {
      threads.emplace_back([&comm] {
        const Pages in(4 * kCount), out(4 * kCount);
        try {
          while (true) {
            comm->all_reduce(in.get(), 4 * kCount, DType::kF32, ReduceOp::kSum)->wait();
            comm->reduce_scatter(in.get(), out.get(), kCount, DType::kF32, ReduceOp::kSum)->wait();
            comm->all_gather(in.get(), out.get(), kCount * 4)->wait();
            comm->broadcast(out.get(), 16 * kCount, 1)->wait();
          }
        } catch (const CommError& error) {
          EXPECT_EQ(error.kind(), CommError::Kind::kAborted) << error.what();
        }
      });
    }
    while (ranks[0]->stats().operations < 1 + round % 4) std::this_thread::yield();
    ranks[0]->abort("enough");
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(Closing, ReturnsBuffersOnlyWhenNoOtherRankUsesThem) {
  constexpr int64_t kCount = 2'000'000;
  for (int round = 0; round < 20; ++round) {
    auto ranks = make_local_communicators(4);
    std::vector<std::thread> threads;
    for (auto& comm : ranks) {
      threads.emplace_back([&comm, round] {
        const Pages data(kCount);
        try {
          while (true) {
            const WorkPtr work = comm->all_reduce(data.get(), kCount, DType::kF32, ReduceOp::kSum);
            if (comm->rank() == round % 4 && comm->stats().operations >= 2) break;
            work->wait();
          }
        } catch (const CommError&) {
        }
        comm.reset();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(Abort, ReachesOtherRanksOverMpi) {
  if (!testing::why_no_mpirun().empty()) GTEST_SKIP() << testing::why_no_mpirun();
  const auto outcomes =
      run_rank_processes(testing::StartWith::kMpirun, 2, [](const testing::RankPlace& place) {
        auto comm =
            testing::make_test_communicator(TestBackend::kMpi, place, {std::chrono::seconds(60)});
        comm->barrier();
        if (place.rank == 0) comm->abort("disk full");
        const std::string text = comm_error(CommError::Kind::kAborted, [&] { comm->barrier(); });
        std::printf("rank %d says: %s\n", place.rank, text.c_str());
        std::fflush(stdout);
        // mpirun ends the others when rank 0 ends, so rank 0 waits until rank 1 was told.
        const std::string told =
            ::testing::TempDir() + "told-" + std::getenv("PMIX_NAMESPACE") + ".txt";
        if (place.rank == 1) std::ofstream(told) << "told";
        while (place.rank == 0 && !std::filesystem::remove(told)) std::this_thread::yield();
      });
  if (testing::is_rank_process()) return;
  EXPECT_THAT(outcomes[0].output, HasSubstr("rank 0 says: communicator: aborted by rank 0"));
  EXPECT_THAT(outcomes[0].output, HasSubstr("rank 1 says: barrier #2: aborted by rank 0: disk"));
}

TEST(RunRanks, RethrowsTheCauseAndNotItsConsequences) {
  const std::string text = message_of<InvalidArgument>([] {
    run_ranks(3, [](Communicator& comm) {
      if (comm.rank() == 1) fail("test", "the real reason");
      comm.barrier();
    });
  });
  EXPECT_EQ(text, "test: the real reason");
}

TEST(RunRanks, RankThatReturnsEarlyIsNamed) {
  const std::string text = message_of<CommError>([] {
    run_ranks(2, [](Communicator& comm) {
      if (comm.rank() == 0) comm.barrier();
    });
  });
  EXPECT_THAT(text, HasSubstr("barrier #1: rank 1 (process "));
  EXPECT_THAT(text, HasSubstr("has closed its communicator"));
}

TEST(Timeout, SaysWhoWasMissing) {
  auto ranks = make_local_communicators(3, {std::chrono::milliseconds(100)});
  std::thread other([&] { comm_error(CommError::Kind::kTimeout, [&] { ranks[2]->barrier(); }); });
  const std::string text = comm_error(CommError::Kind::kTimeout, [&] { ranks[0]->barrier(); });
  other.join();
  EXPECT_THAT(text, HasSubstr("waited 100 ms"));
  EXPECT_THAT(text, HasSubstr("missing: rank 1 (in its collective #0)"));
  EXPECT_THAT(comm_error(CommError::Kind::kTimeout, [&] { ranks[1]->barrier(); }),
              HasSubstr("missing: rank 1"));
}

TEST(Timeout, AlsoEndsMessages) {
  auto ranks = make_local_communicators(2, {std::chrono::milliseconds(100)});
  int value = 0;
  EXPECT_THAT(comm_error(CommError::Kind::kTimeout, [&] { ranks[0]->recv(&value, 4, 1)->wait(); }),
              HasSubstr("recv of 4 bytes from rank 1: no progress for 100 ms"));
}

TEST(Board, SaysSoWhenTheReasonOfAFaultIsLost) {
  const std::shared_ptr<void> memory = allocate_pages(Board::bytes_for(2));
  const std::vector<ProcessIdentity> processes(2, this_process());
  Board::format(memory.get(), processes);
  const Board board(memory.get(), 0, 2, std::chrono::seconds(60));
  // A rank was killed after the word that says "I am writing" (the first one), before the text.
  static_cast<std::atomic<uint32_t>*>(memory.get())->store(1);
  EXPECT_EQ(comm_error(CommError::Kind::kAborted, [&] { board.throw_if_fault("barrier #1"); }),
            "barrier #1: a rank failed and ended before it could say why");
}

TEST(Closing, DoesNotWaitForPendingOperations) {
  auto ranks = make_local_communicators(2);
  std::vector<float> data(10'000);
  int value = 0;
  const WorkPtr reduced = ranks[0]->all_reduce(data.data(), 10'000, DType::kF32, ReduceOp::kSum);
  const WorkPtr small = ranks[0]->all_reduce(&value, 1, DType::kI32, ReduceOp::kSum);
  const WorkPtr received = ranks[0]->recv(&value, 4, 1);
  ranks[0].reset();
  for (const WorkPtr& work : {reduced, small, received}) {
    EXPECT_TRUE(work->is_done());
    comm_error(CommError::Kind::kAborted, [&] { work->wait(); });
  }
}

TEST(Closing, AllocatedMemoryOutlivesTheCommunicator) {
  const auto outcomes =
      run_rank_processes(testing::StartWith::kFork, 2, [](const testing::RankPlace& place) {
        auto comm =
            testing::make_test_communicator(TestBackend::kShm, place, {std::chrono::seconds(60)});
        const std::shared_ptr<void> memory = comm->allocate(1 << 20);
        comm.reset();
        std::fill_n(static_cast<uint8_t*>(memory.get()), 1 << 20, uint8_t{7});
      });
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

TEST(BadArguments, AreNamedBeforeAnythingIsSent) {
  auto ranks = make_local_communicators(2);
  Communicator& comm = *ranks[0];
  int32_t value = 0;
  const auto text = [](const auto& fn) { return message_of<InvalidArgument>(fn); };
  EXPECT_EQ(text([&] { comm.all_reduce(&value, 1, DType::kI32, ReduceOp::kAverage); }),
            "all_reduce: average needs a floating-point dtype, got i32; use sum");
  EXPECT_EQ(text([&] { comm.all_reduce(&value, -1, DType::kI32, ReduceOp::kSum); }),
            "all_reduce: count must not be negative, got -1");
  EXPECT_EQ(text([&] { comm.all_reduce(nullptr, 2, DType::kI32, ReduceOp::kSum); }),
            "all_reduce: needs a buffer for 2 elements, got null");
  EXPECT_EQ(text([&] { comm.broadcast(&value, 4, 2); }),
            "broadcast: root must be a rank of 0 to 1, got 2");
  EXPECT_EQ(text([&] { comm.send(&value, 4, 0); }),
            "send: peer must be another rank of 0 to 1, got 0 on rank 0");
  EXPECT_EQ(comm.stats().operations, 0);
}

TEST(MakeCommunicator, ExplainsWhatCannotWork) {
  const auto text = [](const CommunicatorOptions& options) {
    return message_of<InvalidArgument>([&] { make_communicator(options); });
  };
  CommunicatorOptions options;
  options.backend = "gloo";
  EXPECT_EQ(
      text(options),
      "make_communicator: backend must be auto, local, shm, mpi or store, got 'gloo' (ranks on "
      "GPUs use nccl by themselves)");
  options.backend = "local";
  options.world_size = 2;
  EXPECT_THAT(text(options), HasSubstr("local ranks are threads of one process, got world size 2"));
  options.backend = "shm";
  EXPECT_THAT(text(options), HasSubstr("shm needs all ranks on one node, got 1 of 2 here"));
  options.local_world_size = 2;
  EXPECT_THAT(text(options), HasSubstr("shm needs a run id that all ranks share"));
  options.rank = 2;
  EXPECT_THAT(text(options), HasSubstr("got rank 2 of 2"));
}

TEST(MakeCommunicator, RejectsTimeoutsThatMakeNoSense) {
  for (const char* seconds : {"0", "-5", "1000001", "9223372036854775807"}) {
    setenv("TRIREME_TIMEOUT_SECONDS", seconds, 1);
    EXPECT_EQ(message_of<InvalidArgument>([] { make_communicator({}); }),
              concat("settings: TRIREME_TIMEOUT_SECONDS must be from 1 to 1000000, got ", seconds));
  }
  unsetenv("TRIREME_TIMEOUT_SECONDS");
}

TEST(MakeCommunicator, OneRankNeedsNobody) {
  auto comm = make_communicator({});
  EXPECT_STREQ(comm->backend(), "local");
  float data[2] = {1, 2}, copy[2] = {};
  comm->all_gather(data, copy, sizeof(data))->wait();
  EXPECT_EQ(copy[1], 2);
}

TEST(MakeCommunicator, RanksUnderMpirunOnOneNodeShareMemory) {
  if (!testing::why_no_mpirun().empty()) GTEST_SKIP() << testing::why_no_mpirun();
  const auto outcomes =
      run_rank_processes(testing::StartWith::kMpirun, 2, [](const testing::RankPlace& place) {
        const RankEnv env = detect_rank_env();
        EXPECT_EQ(env.rank, place.rank);
        auto comm = make_communicator({.backend = "",
                                       .rank = env.rank,
                                       .world_size = env.world_size,
                                       .local_world_size = env.local_world_size,
                                       .run_id = env.run_id,
                                       .timeout = {}});
        EXPECT_STREQ(comm->backend(), "shm");
        comm->barrier();
      });
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

}  // namespace
}  // namespace trireme
