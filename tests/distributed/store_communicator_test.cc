// The store backend: collectives of threads that meet over loopback TCP, or in a directory.

#include "distributed/store_communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "core/base/error.h"
#include "distributed/control_channel.h"
#include "distributed/file_store.h"
#include "distributed/tcp_store.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::TempDir;

constexpr CommOptions kPatient{std::chrono::seconds(60)};
constexpr CommOptions kHasty{milliseconds(200)};

void run_store_ranks(const std::string& kind, int world_size, const CommOptions& options,
                     const std::function<void(Communicator&)>& body) {
  TempDir directory;
  std::vector<std::unique_ptr<Store>> stores;
  int port = 0;
  for (int rank = 0; rank < world_size; ++rank) {
    if (kind == "file") {
      stores.push_back(std::make_unique<FileStore>(directory / "run"));
    } else {
      auto store = std::make_unique<TcpStore>("127.0.0.1", port, rank, kPatient.timeout);
      port = store->port();
      stores.push_back(std::move(store));
    }
  }
  std::vector<std::unique_ptr<Communicator>> communicators(static_cast<size_t>(world_size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] {
      const auto r = static_cast<size_t>(rank);
      communicators[r] = make_store_communicator(std::move(stores[r]), rank, world_size, options);
      body(*communicators[r]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class StoreBackend : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Kinds, StoreBackend, ::testing::Values("file", "tcp"),
                         [](const auto& instance) { return instance.param; });

TEST_P(StoreBackend, DoesEveryCollective) {
  run_store_ranks(GetParam(), 3, kPatient, [](Communicator& comm) {
    const double r = comm.rank();
    std::vector<double> sums{r, 10, -r};
    comm.all_reduce(sums.data(), 3, DType::kF64, ReduceOp::kSum)->wait();
    EXPECT_THAT(sums, ElementsAre(3, 30, -3));
    std::vector<int32_t> mine{comm.rank()}, all(3);
    comm.all_gather(mine.data(), all.data(), 4)->wait();
    EXPECT_THAT(all, ElementsAre(0, 1, 2));
    const std::vector<double> parts{r, r + 1, r + 2};
    double part = 0;
    comm.reduce_scatter(parts.data(), &part, 1, DType::kF64, ReduceOp::kAverage)->wait();
    EXPECT_EQ(part, r + 1);
    EXPECT_EQ(broadcast_text(concat("rank ", comm.rank()), comm), "rank 0");
    EXPECT_THAT(gather_texts(std::string(static_cast<size_t>(comm.rank()), 'x'), comm),
                ElementsAre("", "x", "xx"));
    EXPECT_EQ(static_cast<char*>(comm.allocate(5).get())[4], 0);
    comm.barrier();
  });
}

TEST_P(StoreBackend, MismatchedCallsAreNamed) {
  run_store_ranks(GetParam(), 2, kPatient, [](Communicator& comm) {
    float x = 0;
    EXPECT_THAT(message_of<CommError>([&] {
                  comm.all_reduce(&x, 1, DType::kF32,
                                  comm.rank() == 0 ? ReduceOp::kSum : ReduceOp::kMax)
                      ->wait();
                }),
                AllOf(HasSubstr("rank 0 called all_reduce #1 (sum"),
                      HasSubstr("rank 1 called all_reduce #1 (max")));
  });
}

TEST_P(StoreBackend, AMissingRankIsNamed) {
  run_store_ranks(GetParam(), 3, kHasty, [](Communicator& comm) {
    if (comm.rank() == 1) return;
    EXPECT_THAT(message_of<CommError>([&] { comm.barrier(); }), HasSubstr("rank 1 "));
  });
}

TEST_P(StoreBackend, AnAbortReachesThoseWhoWait) {
  run_store_ranks(GetParam(), 2, kPatient, [](Communicator& comm) {
    if (comm.rank() == 1) return comm.abort("disk full");
    EXPECT_THAT(message_of<CommError>([&] { comm.barrier(); }),
                AllOf(HasSubstr("aborted by rank 1"), HasSubstr("disk full")));
  });
}

TEST_P(StoreBackend, SaysThatItHasNoMessages) {
  run_store_ranks(GetParam(), 2, kPatient, [](Communicator& comm) {
    char c = 0;
    EXPECT_THAT(message_of<InvalidArgument>([&] { comm.send(&c, 1, 1 - comm.rank()); }),
                HasSubstr("use mpi"));
  });
}

}  // namespace
}  // namespace trireme
