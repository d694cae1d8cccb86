// How processes of a node find each other; here threads play the processes.

#include "distributed/node_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "core/base/error.h"
#include "core/base/shm_name.h"
#include "distributed/local_socket.h"
#include "distributed/shm_communicator.h"
#include "tests/support/comm_error.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using testing::comm_error;
using ::testing::HasSubstr;

constexpr milliseconds kPatient{20'000};

std::string unique_name(const char* test) { return concat("test-", getpid(), "-", test); }

TEST(NodeGroup, MissingRankIsNamedAtTheDeadline) {
  EXPECT_THAT(comm_error(CommError::Kind::kTimeout,
                         [] { NodeGroup(unique_name("missing"), 0, 3, milliseconds(50)); }),
              HasSubstr("rank 0 waited 50 ms for rank 1, 2"));
}

TEST(NodeGroup, MissingRankIsATimeoutForThoseWhoCame) {
  const std::string name = unique_name("late");
  std::thread zero([&] {
    comm_error(CommError::Kind::kTimeout, [&] { NodeGroup(name, 0, 3, milliseconds(500)); });
  });
  NodeGroup one(name, 1, 3, kPatient);
  EXPECT_THAT(comm_error(CommError::Kind::kTimeout, [&] { one.take(); }),
              HasSubstr("rank 0 waited 500 ms for rank 2"));
  zero.join();
}

TEST(NodeGroup, ErrorsArriveWithTheirKind) {
  const std::string name = unique_name("kinds");
  std::thread zero([&] {
    NodeGroup group(name, 0, 2, kPatient);
    group.give_error(CommError(CommError::Kind::kPeerLost, "rank 7 is gone"));
    group.give_error(std::runtime_error("no memory left"));
  });
  NodeGroup one(name, 1, 2, kPatient);
  EXPECT_EQ(comm_error(CommError::Kind::kPeerLost, [&] { one.take(); }),
            "rank 0 says: rank 7 is gone");
  EXPECT_EQ(comm_error(CommError::Kind::kSystem, [&] { one.take(); }),
            "rank 0 says: no memory left");
  zero.join();
}

TEST(NodeGroup, MissingRankZeroIsNamedAtTheDeadline) {
  EXPECT_THAT(comm_error(CommError::Kind::kTimeout,
                         [] { NodeGroup(unique_name("zero"), 1, 2, milliseconds(50)); }),
              HasSubstr("rank 1 waited 50 ms, but rank 0 is not on this host"));
}

TEST(NodeGroup, NameInUseNamesTheProcess) {
  const std::string name = unique_name("used");
  std::thread first([&] {
    // Is left by its peer below, which is not of its size.
    EXPECT_THAT(comm_error(CommError::Kind::kMismatch, [&] { NodeGroup(name, 0, 2, kPatient); }),
                HasSubstr("counts 3 ranks, rank 0 counts 2"));
  });
  NodeGroup peer(name, 1, 3, kPatient);  // returns once the first one listens
  comm_error(CommError::Kind::kMismatch, [&] { peer.take(); });
  first.join();

  std::thread second([&] {
    comm_error(CommError::Kind::kTimeout, [&] { NodeGroup(name, 0, 3, milliseconds(500)); });
  });
  NodeGroup joined(name, 1, 3, kPatient);
  EXPECT_THAT(
      comm_error(CommError::Kind::kSystem, [&] { NodeGroup(name, 0, 3, kPatient); }),
      AllOf(HasSubstr(concat("is in use by process ", getpid())), HasSubstr("TRIREME_RUN_ID")));
  second.join();
}

/// A connection to the rank 0 that listens there, once it does.
FileDescriptor connect_to(const std::string& name) {
  FileDescriptor link;
  while (!(link = connect_local(name))) std::this_thread::yield();
  return link;
}

TEST(NodeGroup, RankThatPausesBeforeItsFirstWordIsWaitedFor) {
  const std::string name = unique_name("pause"), front = unique_name("front");
  const FileDescriptor listener = listen_local(front);
  std::thread zero([&] { NodeGroup(name, 0, 2, kPatient); });
  NodeGroup one(front, 1, 2, kPatient);
  LocalMessage hello, answer;
  ASSERT_EQ(receive_message(accept_local(listener, kPatient), kPatient, hello), Received::kMessage);
  // What rank 1 says is passed on only after a pause.
  const FileDescriptor link = connect_to(name);
  EXPECT_EQ(receive_message(link, milliseconds(300), answer), Received::kNothing);
  EXPECT_TRUE(send_message(link, hello.text));
  zero.join();
}

TEST(NodeGroup, OtherVersionsAreRefusedWhateverTheySay) {
  const std::string name = unique_name("version");
  std::thread zero([&] {
    EXPECT_THAT(comm_error(CommError::Kind::kMismatch, [&] { NodeGroup(name, 0, 2, kPatient); }),
                HasSubstr("ranks run different versions of Trireme"));
  });
  const FileDescriptor link = connect_to(name);
  EXPECT_TRUE(send_message(link, "good morning"));
  LocalMessage answer;
  EXPECT_EQ(receive_message(link, kPatient, answer), Received::kMessage);
  EXPECT_THAT(answer.text, HasSubstr("ranks run different versions of Trireme"));
  zero.join();
}

TEST(NodeGroup, RankThatComesTwiceIsSentAwayAlone) {
  const std::string name = unique_name("twice");
  std::thread zero([&] { NodeGroup(name, 0, 3, kPatient).give(make_shared_memory(64)); });
  NodeGroup first(name, 1, 3, kPatient), second(name, 1, 3, kPatient);
  EXPECT_THAT(comm_error(CommError::Kind::kMismatch, [&] { second.take(); }),
              AllOf(HasSubstr("both say they are rank 1"), HasSubstr("TRIREME_RUN_ID")));
  NodeGroup last(name, 2, 3, kPatient);
  EXPECT_TRUE(first.take());
  EXPECT_TRUE(last.take());
  zero.join();
}

TEST(NodeGroup, RankThatCameTwiceIsNamedWhenAnotherIsMissing) {
  const std::string name = unique_name("twin");
  std::thread zero([&] {
    EXPECT_THAT(
        comm_error(CommError::Kind::kTimeout, [&] { NodeGroup(name, 0, 3, milliseconds(500)); }),
        HasSubstr("for rank 2; meanwhile processes "));
  });
  NodeGroup first(name, 1, 3, kPatient), second(name, 1, 3, kPatient);
  comm_error(CommError::Kind::kMismatch, [&] { second.take(); });
  comm_error(CommError::Kind::kTimeout, [&] { first.take(); });
  zero.join();
}

TEST(NodeGroup, ProcessesThatCannotSeeEachOtherAreRefused) {
  const std::string name = unique_name("spaces");
  const pid_t child = fork();
  if (child == 0) {
    // A child of this process is process 1 of a name space of its own.
    if (unshare(CLONE_NEWPID) != 0) _exit(77);
    if (const pid_t inner = fork(); inner != 0) {
      int status = 0;
      waitpid(inner, &status, 0);
      _exit(WEXITSTATUS(status));
    }
    try {
      NodeGroup(name, 1, 2, kPatient).take();
    } catch (const CommError& error) {
      _exit(error.kind() == CommError::Kind::kSystem &&
                    std::string(error.what()).find("process-id name spaces") != std::string::npos
                ? 0
                : 1);
    }
    _exit(2);
  }
  std::string text;
  try {
    NodeGroup(name, 0, 2, milliseconds(3000));
  } catch (const CommError& error) {
    text = error.what();
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this user may not make a process-id name space";
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_THAT(text, AllOf(HasSubstr("rank 1 is process 1 to itself"),
                          HasSubstr("use TRIREME_BACKEND=mpi")));
}

TEST(NodeGroup, NameCanBeUsedAgainAtOnce) {
  for (int round = 0; round < 3; ++round) {
    std::thread other([] { make_shm_communicator(unique_name("again"), 1, 2, {})->barrier(); });
    make_shm_communicator(unique_name("again"), 0, 2, {})->barrier();
    other.join();
  }
}

TEST(ShmName, IsSafeShortAndDistinct) {
  const std::string user = concat("trireme-", getuid(), "-");
  EXPECT_EQ(shm_name_prefix("20261124-ab.c_d"), user + "20261124-ab.c_d+");
  EXPECT_FALSE(shm_name_prefix("a-b").starts_with(shm_name_prefix("a")));
  const std::string odd = shm_name_prefix("a/b c");
  EXPECT_TRUE(odd.starts_with(user + "a_b_c-"));
  EXPECT_NE(odd, shm_name_prefix("a/b_c"));
  EXPECT_LE(shm_name_prefix(std::string(500, 'x')).size(), 90u);
  EXPECT_NE(shm_name_prefix(std::string(500, 'x')), shm_name_prefix(std::string(501, 'x')));
}

}  // namespace
}  // namespace trireme
