// Saving is interrupted: by the end of the process at each of its calls, by another process, or by
// the end of the power, before which everything that was promised must be on the disk.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "core/base/error.h"
#include "core/checkpoint/catalog.h"
#include "core/checkpoint/directory_lock.h"
#include "tests/checkpoint/snapshots.h"
#include "tests/support/message_of.h"
#include "tests/support/system_calls.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::entries_of;
using ::testing::HasSubstr;
using testing::is_snapshot_of;
using testing::message_of;
using testing::snapshot_of;
using testing::TempDir;

/// How a process that only runs `body` ends.
int status_of_process(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

Snapshot marked(int64_t step, const std::string& from) {
  Snapshot snapshot = snapshot_of(step);
  snapshot.state.set_string("from", from);
  return snapshot;
}

// Steps 1 and 2 are there; a process saves `step` and is killed at every call in turn. What is
// found then is one of step 2 or what was being saved, and the next save leaves no trace of it all.
// Returns how many calls saving takes.
int kill_at_every_call(int64_t step) {
  for (int calls = 0;; ++calls) {
    const TempDir dir;
    save_checkpoint(dir.path(), marked(1, "before"));
    save_checkpoint(dir.path(), marked(2, "before"));
    const int status = status_of_process([&] {
      testing::die_at_call(calls);
      save_checkpoint(dir.path(), marked(step, "after"), 2);
    });
    const auto latest = find_latest(dir.path());
    if (!latest) {
      ADD_FAILURE() << "nothing is left after call " << calls;
      return calls;
    }
    const Snapshot found = load_checkpoint(*latest);
    const bool is_new = found.state.get_string("from") == "after";
    EXPECT_TRUE(is_snapshot_of(is_new ? step : 2, found)) << "call " << calls;
    save_checkpoint(dir.path(), marked(4, "next"), 2);
    EXPECT_THAT(entries_of(dir.path()), ElementsAre(checkpoint_name(found.step), "step-00000004"))
        << "call " << calls;
    if (status == 0) {
      EXPECT_TRUE(is_new);
      return calls;
    }
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    if (::testing::Test::HasFailure()) return calls;
  }
}

constexpr int kFewestCalls = 15;  // 4 files are created and synced, 2 directories are, ...

TEST(Interruption, AtEveryCallOfANewCheckpoint) { EXPECT_GT(kill_at_every_call(3), kFewestCalls); }

TEST(Interruption, AtEveryCallWhileOneIsReplaced) {
  EXPECT_GT(kill_at_every_call(2), kFewestCalls);
}

TEST(Interruption, AtEveryCallWhileOneIsReplacedWithoutExchange) {
  testing::refuse_exchange(true);
  EXPECT_GT(kill_at_every_call(2), kFewestCalls);
  testing::refuse_exchange(false);
}

TEST(Interruption, NewDirectoriesAreSyncedInThoseAbove) {
  const TempDir dir;
  testing::take_synced();
  save_checkpoint(dir / "run/checkpoints", snapshot_of(1));
  const std::vector<std::string> synced = testing::take_synced();
  EXPECT_THAT(synced, Contains(dir.path()));
  EXPECT_THAT(synced, Contains(dir / "run"));
  EXPECT_THAT(synced, Contains(dir / "run/checkpoints/.tmp-step-00000001"));
  EXPECT_EQ(synced.back(), dir / "run/checkpoints");
}

TEST(DirectoryLock, OneProcessAtATimeSaves) {
  const TempDir dir;
  save_checkpoint(dir.path(), snapshot_of(1));
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t other = ::fork();
  if (other == 0) {
    const auto lock = lock_directory(dir.path());
    save_checkpoint(dir.path(), snapshot_of(2));  // its own lock does not hinder it
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(message_of<IoError>([&] { save_checkpoint(dir.path(), snapshot_of(3)); }),
              AllOf(HasSubstr("another run writes to " + dir.path()),
                    HasSubstr("process " + std::to_string(other))));
  EXPECT_THAT(entries_of(dir.path()), ElementsAre("step-00000001", "step-00000002"));
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  save_checkpoint(dir.path(), snapshot_of(3));
  EXPECT_EQ(*find_latest(dir.path()), dir / "step-00000003");
}

}  // namespace
}  // namespace trireme
