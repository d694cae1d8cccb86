#include "core/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "core/base/error.h"
#include "core/checkpoint/catalog.h"
#include "tests/checkpoint/snapshots.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using testing::entries_of;
using ::testing::HasSubstr;
using testing::is_snapshot_of;
using testing::message_of;
using testing::snapshot_of;
using testing::TempDir;

TEST(Checkpoint, ComesBackAsItWas) {
  const TempDir dir;
  const std::string path = save_checkpoint(dir / "run/checkpoints", snapshot_of(100));
  EXPECT_EQ(path, dir / "run/checkpoints/step-00000100");
  EXPECT_THAT(entries_of(path), ElementsAre("manifest.json", "model.safetensors",
                                            "optimizer.safetensors", "state.json"));
  EXPECT_TRUE(is_snapshot_of(100, load_checkpoint(path)));
}

TEST(Checkpoint, KeepsTheLastOnesWritten) {
  const TempDir dir;
  for (int64_t step = 1; step <= 5; ++step) save_checkpoint(dir.path(), snapshot_of(step), 2);
  EXPECT_THAT(entries_of(dir.path()), ElementsAre("step-00000004", "step-00000005"));
  // A run that was restarted from step 1: what it writes is the newest, whatever its step.
  save_checkpoint(dir.path(), snapshot_of(2), 2);
  EXPECT_THAT(entries_of(dir.path()), ElementsAre("step-00000002", "step-00000005"));
  EXPECT_EQ(*find_latest(dir.path()), dir / "step-00000002");
}

TEST(Checkpoint, ReplacesOneOfTheSameStep) {
  const TempDir dir;
  Snapshot first = snapshot_of(7);
  first.state.set_string("from", "an abandoned run");
  save_checkpoint(dir.path(), first);
  const std::string path = save_checkpoint(dir.path(), snapshot_of(7));
  EXPECT_FALSE(load_checkpoint(path).state.has("from"));
  EXPECT_THAT(entries_of(dir.path()), ElementsAre("step-00000007"));
}

TEST(Checkpoint, CleansUpAfterAnInterruptedSave) {
  const TempDir dir;
  dir.write(".tmp-step-00000003/model.safetensors", "half");
  dir.write(".tmp-step-00000004/model.safetensors", "half");
  save_checkpoint(dir.path(), snapshot_of(4));
  EXPECT_THAT(entries_of(dir.path()), ElementsAre("step-00000004"));
}

TEST(Checkpoint, NoticesEveryChangedByte) {
  const TempDir dir;
  const std::string path = save_checkpoint(dir.path(), snapshot_of(3, 2));
  for (const char* name : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
    const std::string file = path + "/" + name, whole = testing::read_text(file);
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ 1);
      dir.write("step-00000003/" + std::string(name), changed);
      EXPECT_THAT(message_of<DataError>([&] { load_checkpoint(path); }), HasSubstr(file));
    }
    dir.write("step-00000003/" + std::string(name), whole);
  }
  EXPECT_TRUE(is_snapshot_of(3, load_checkpoint(path)));
}

TEST(Checkpoint, RefusesWhatIsNotComplete) {
  const TempDir dir;
  const auto refused = [&](const std::string& path) {
    return message_of<IoError>([&] { load_checkpoint(path); });
  };
  EXPECT_THAT(refused(dir / "absent"), HasSubstr("absent/manifest.json"));
  const std::string path = save_checkpoint(dir.path(), snapshot_of(3));
  fs::resize_file(path + "/model.safetensors", 20);
  EXPECT_THAT(refused(path), HasSubstr("model.safetensors must have"));
  fs::remove(path + "/model.safetensors");
  EXPECT_THAT(refused(path), HasSubstr("model.safetensors, No such file"));
  dir.write("other/manifest.json", R"({"format":2,"step":1,"serial":1,"files":{}})");
  EXPECT_THAT(refused(dir / "other"), HasSubstr("format must be 1, got 2"));
  dir.write("other/manifest.json", R"({"format":1,"step":1,"serial":1,"files":{}})");
  EXPECT_THAT(refused(dir / "other"), HasSubstr("does not name"));
  dir.write("other/manifest.json", R"({"format":1,"step":"x"})");
  EXPECT_THAT(refused(dir / "other"), HasSubstr("cannot understand"));
  EXPECT_THROW(save_checkpoint(dir.path(), Snapshot{-1, {}, {}, {}}), InvalidArgument);
}

// A process that only saves is killed again and again, each time a little later in a save: what is
// there afterwards is always whole, and never older than what it reported as saved.
TEST(Checkpoint, SurvivesBeingKilledAtAnyInstant) {
  const TempDir dir;
  std::vector<Snapshot> snapshots;
  for (int64_t step = 0; step < 64; ++step) snapshots.push_back(snapshot_of(step, 5000));
  constexpr int kKills = 24;
  std::chrono::steady_clock::duration save_time{};
  for (int kill = 0; kill < kKills; ++kill) {
    int reports[2];
    ASSERT_EQ(::pipe(reports), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (size_t i = 0;; i = (i + 1) % snapshots.size()) {
        save_checkpoint(dir.path(), snapshots[i], 2);
        if (::write(reports[1], &snapshots[i].step, sizeof(int64_t)) != sizeof(int64_t)) ::_exit(1);
      }
    }
    ::close(reports[1]);
    int64_t reported = 0;
    // From its third save on, a process also deletes and soon replaces older ones.
    for (int i = 0; i < 4; ++i) {
      const auto start = std::chrono::steady_clock::now();
      ASSERT_EQ(::read(reports[0], &reported, sizeof(reported)), sizeof(reported));
      save_time = std::chrono::steady_clock::now() - start;
    }
    std::this_thread::sleep_for(save_time * kill / kKills);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(reports[0], &reported, sizeof(reported)) == sizeof(reported)) {
    }
    ::close(reports[0]);
    const auto latest = find_latest(dir.path());
    ASSERT_TRUE(latest);
    const Snapshot loaded = load_checkpoint(*latest);
    EXPECT_TRUE(is_snapshot_of(loaded.step, loaded));
    EXPECT_TRUE(loaded.step == reported || loaded.step == (reported + 1) % 64)
        << "reported " << reported << ", found " << loaded.step;
  }
}

}  // namespace
}  // namespace trireme
