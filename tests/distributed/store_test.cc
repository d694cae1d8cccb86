// Stores, for real: files in a directory, and TCP over loopback.

#include "distributed/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "core/base/error.h"
#include "distributed/file_store.h"
#include "distributed/tcp_socket.h"
#include "distributed/tcp_store.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::TempDir;

constexpr char kLoopback[] = "127.0.0.1";
constexpr milliseconds kLong = seconds(60);
constexpr milliseconds kShort{100};

/// The stores of `world_size` ranks that see each other.
class Ranks {
 public:
  Ranks(const std::string& kind, int world_size) {
    int port = 0;
    for (int rank = 0; rank < world_size; ++rank) {
      if (kind == "tcp") {
        auto store = std::make_unique<TcpStore>(kLoopback, port, rank, kLong);
        port = store->port();
        stores_.push_back(std::move(store));
      } else {
        stores_.push_back(std::make_unique<FileStore>(directory_ / "run"));
      }
    }
  }
  Store& operator[](int rank) { return *stores_[static_cast<size_t>(rank)]; }
  /// Calls fn(rank, store) on a thread per rank.
  template <typename Fn>
  void each(const Fn& fn) {
    std::vector<std::thread> threads;
    for (size_t r = 0; r < stores_.size(); ++r) {
      threads.emplace_back([&, r] { fn(static_cast<int>(r), *stores_[r]); });
    }
    for (std::thread& thread : threads) thread.join();
  }

 private:
  TempDir directory_;
  std::vector<std::unique_ptr<Store>> stores_;
};

class StoreOf : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Kinds, StoreOf, ::testing::Values("file", "tcp"),
                         [](const auto& instance) { return instance.param; });

TEST_P(StoreOf, KeepsAnyBytesUnderAnyName) {
  Ranks ranks(GetParam(), 2);
  const std::string value("a\0\n\xff/", 5);
  EXPECT_EQ(ranks[1].find("a/b c%"), std::nullopt);
  ranks[0].set("a/b c%", value);
  EXPECT_EQ(ranks[1].find("a/b c%"), value);
  ranks[1].set("a/b c%", "");
  EXPECT_EQ(ranks[0].get("a/b c%", kLong), "");
}

TEST_P(StoreOf, GetWaitsForWhoeverSetsLater) {
  Ranks ranks(GetParam(), 2);
  ranks.each([](int rank, Store& store) {
    store.add("started", 1);
    if (rank == 0) {
      EXPECT_EQ(store.get("late", kLong), "value");
    } else {
      while (store.add("started", 0) < 2) std::this_thread::yield();
      store.set("late", "value");
    }
  });
}

TEST_P(StoreOf, GetOfAKeyThatNobodySetsNamesIt) {
  Ranks ranks(GetParam(), 1);
  EXPECT_THAT(
      message_of<CommError>([&] { ranks[0].get("unique id", kShort); }),
      AllOf(HasSubstr(GetParam() + " store"), HasSubstr("'unique id'"), HasSubstr("100 ms")));
  ranks[0].set("unique id", "7");
  EXPECT_EQ(ranks[0].get("unique id", kLong), "7");
}

TEST_P(StoreOf, AddCountsOverAllRanks) {
  Ranks ranks(GetParam(), 4);
  ranks.each([](int, Store& store) {
    for (int i = 0; i < 25; ++i) store.add("n", 2);
  });
  EXPECT_EQ(ranks[0].add("n", -200), 0);
}

TEST_P(StoreOf, GatherGivesEveryRanksValueInOrder) {
  Ranks ranks(GetParam(), 3);
  ranks.each([](int rank, Store& store) {
    for (const char* name : {"first", "second"}) {
      EXPECT_THAT(store.gather(name, rank, 3, concat(name, rank), kLong),
                  ElementsAre(concat(name, 0), concat(name, 1), concat(name, 2)));
    }
  });
}

TEST_P(StoreOf, GatherNamesTheRanksThatNeverCame) {
  Ranks ranks(GetParam(), 2);
  ranks.each([](int rank, Store& store) {
    EXPECT_THAT(
        message_of<CommError>([&] { store.gather("meet", rank, 4, "x", kShort); }),
        AllOf(HasSubstr(concat("rank ", rank, " on ")), HasSubstr("for ranks 2, 3 in 'meet'")));
  });
}

TEST_P(StoreOf, ARankThatComesTwiceIsRefused) {
  Ranks ranks(GetParam(), 2);
  EXPECT_THAT(message_of<CommError>([&] { ranks[0].gather("meet", 0, 2, "x", kShort); }),
              HasSubstr("rank 1 "));
  EXPECT_THAT(message_of<CommError>([&] { ranks[1].gather("meet", 0, 2, "y", kShort); }),
              HasSubstr("rank 0 is there already in 'meet'"));
}

TEST(FileStore, RefusesAnotherVersionsDirectory) {
  TempDir directory;
  directory.write("run/format", "trireme file store 99\n");
  EXPECT_THAT(message_of<CommError>([&] { FileStore(directory / "run"); }),
              HasSubstr("another version of Trireme"));
}

TEST(FileStore, SaysWhyADirectoryCannotBe) {
  TempDir directory;
  directory.write("file", "");
  EXPECT_THAT(message_of<CommError>([&] { FileStore(directory / "file/run"); }),
              AllOf(HasSubstr("cannot create the directory"), HasSubstr("TRIREME_STORE")));
}

TEST(TcpStore, APortInUseIsNamedWithTheWayOut) {
  const TcpStore first(kLoopback, 0, 0, kLong);
  EXPECT_THAT(message_of<CommError>([&] { TcpStore(kLoopback, first.port(), 0, kLong); }),
              AllOf(HasSubstr(concat("127.0.0.1:", first.port())), HasSubstr("in use"),
                    HasSubstr("MASTER_PORT")));
}

TEST(TcpStore, AServerThatNeverComesIsNamed) {
  int port = 0;
  {
    const FileDescriptor listener = listen_tcp(kLoopback, 0);
    port = port_of(listener);
  }
  EXPECT_THAT(
      message_of<CommError>([&] { TcpStore(kLoopback, port, 1, kShort); }),
      AllOf(HasSubstr(concat("no answer from rank 0 at 127.0.0.1:", port)), HasSubstr("refused")));
}

TEST(TcpStore, WaitsForAServerThatComesLate) {
  int port = 0;
  {
    const FileDescriptor listener = listen_tcp(kLoopback, 0);
    port = port_of(listener);
  }
  std::thread early([&] {
    TcpStore store(kLoopback, port, 1, kLong);
    EXPECT_EQ(store.get("x", kLong), "1");
    store.set("seen", "");
  });
  std::this_thread::sleep_for(milliseconds(30));  // so that the first attempts fail
  TcpStore store(kLoopback, port, 0, kLong);
  store.set("x", "1");
  store.wait("seen", kLong);
  early.join();
}

TEST(TcpStore, AnUnknownHostIsNamed) {
  EXPECT_THAT(message_of<CommError>([] { TcpStore("no-such-host.invalid", 1, 1, kShort); }),
              HasSubstr("cannot resolve no-such-host.invalid"));
}

TEST(TcpStore, SaysWhenRankZeroHasEnded) {
  auto rank0 = std::make_unique<TcpStore>(kLoopback, 0, 0, kLong);
  TcpStore rank1(kLoopback, rank0->port(), 1, kLong);
  rank0.reset();
  EXPECT_THAT(message_of<CommError>([&] { rank1.set("x", "1"); }), HasSubstr("rank 0 has ended"));
}

TEST(TcpStore, RefusesAClientOfAnotherVersion) {
  const TcpStore store(kLoopback, 0, 0, kLong);
  const FileDescriptor client = connect_tcp(kLoopback, store.port(), kLong);
  const auto deadline = std::chrono::steady_clock::now() + kLong;
  ASSERT_TRUE(send_all(client, encode({store_op::kHello, "99.0"}), deadline));
  std::string received;
  std::optional<StoreFields> answer;
  while (!(answer = take_message(received)) &&
         receive_some(client, received, deadline) == Heard::kBytes) {
  }
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->front(), store_answer::kRefused);
  EXPECT_THAT(answer->back(), AllOf(HasSubstr("this rank 99.0"), HasSubstr("same version")));
}

TEST(TcpStore, SomethingElseOnThePortIsNotTakenForAStore) {
  const FileDescriptor listener = listen_tcp(kLoopback, 0);
  std::thread web_server([&] {
    FileDescriptor client;
    while (!client) client = FileDescriptor(accept(listener.get(), nullptr, nullptr));
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    std::string received;
    receive_some(client, received, deadline);
    send_all(client, "HTTP/1.1 400 Bad Request\r\n\r\n", deadline);
  });
  EXPECT_THAT(message_of<CommError>([&] { TcpStore(kLoopback, port_of(listener), 1, kLong); }),
              HasSubstr("does not speak this protocol"));
  web_server.join();
}

TEST(TcpStore, GarbageDoesNotDisturbTheOthers) {
  TcpStore store(kLoopback, 0, 0, kLong);
  const FileDescriptor stranger = connect_tcp(kLoopback, store.port(), kLong);
  ASSERT_TRUE(
      send_all(stranger, "GET / HTTP/1.1\r\n\r\n", std::chrono::steady_clock::now() + kLong));
  store.set("x", "1");
  EXPECT_EQ(store.get("x", kLong), "1");
}

TEST(MakeStore, ChoosesByPlace) {
  TempDir directory;
  const auto file = make_store({.place = "file:" + directory.path(), .run_id = "r1"});
  EXPECT_EQ(file->describe(), "file store " + directory.path() + "/r1");
  EXPECT_THAT(message_of<InvalidArgument>([] { make_store({}); }), HasSubstr("MASTER_ADDR"));
  EXPECT_THAT(message_of<InvalidArgument>([] { make_store({.place = "tcp:host"}); }),
              HasSubstr("tcp:HOST:PORT"));
  EXPECT_THAT(message_of<InvalidArgument>([] { make_store({.place = "redis:x"}); }),
              HasSubstr("got 'redis:x'"));
}

}  // namespace
}  // namespace trireme
