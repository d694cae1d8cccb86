#include "core/checkpoint/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.h"
#include "tests/checkpoint/snapshots.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using testing::message_of;
using testing::snapshot_of;
using testing::TempDir;

TEST(Catalog, FindsTheLatestCompleteCheckpoint) {
  const TempDir dir;
  EXPECT_FALSE(find_latest(dir / "absent"));
  EXPECT_FALSE(find_latest(dir.path()));
  for (const int64_t step : {100, 200, 300, 400}) save_checkpoint(dir.path(), snapshot_of(step));
  EXPECT_EQ(*find_latest(dir.path()), dir / "step-00000400");
  ASSERT_EQ(list_checkpoints(dir.path()).size(), 4u);
  EXPECT_EQ(list_checkpoints(dir.path())[1].step, 200);

  // What crashes between any two steps of saving or deleting would leave.
  fs::remove(dir / "step-00000400/manifest.json");
  EXPECT_EQ(*find_latest(dir.path()), dir / "step-00000300");
  fs::resize_file(dir / "step-00000300/optimizer.safetensors", 10);
  EXPECT_EQ(*find_latest(dir.path()), dir / "step-00000200");
  fs::rename(dir / "step-00000200", dir / ".tmp-step-00000200");
  dir.write("step-00000900", "a file, not a directory");
  dir.write("step-00000800/manifest.json", "{\"format\":");
  dir.write("notes/manifest.json", "{}");
  EXPECT_EQ(*find_latest(dir.path()), dir / "step-00000100");
}

TEST(Catalog, ResolvesResume) {
  const TempDir dir;
  const std::string run = dir / "run";
  EXPECT_FALSE(resolve_resume(run, "auto"));
  EXPECT_FALSE(resolve_resume(run, "never"));
  const std::string path = save_checkpoint(checkpoint_directory(run), snapshot_of(5));
  const std::string latest = save_checkpoint(checkpoint_directory(run), snapshot_of(6));
  EXPECT_EQ(*resolve_resume(run, "auto"), latest);
  EXPECT_FALSE(resolve_resume(run, "never"));
  EXPECT_EQ(*resolve_resume(dir / "other", path), path);
  EXPECT_EQ(*resolve_resume(dir / "other", run), latest);
  EXPECT_EQ(*resolve_resume(dir / "other", checkpoint_directory(run)), latest);
}

TEST(Catalog, RefusesAResumePathWithoutCheckpoint) {
  const TempDir dir;
  const auto refused = [&](const std::string& text) {
    return message_of<DataError>([&] { resolve_resume(dir.path(), text); });
  };
  EXPECT_THAT(refused("atuo"),
              HasSubstr("must be auto, never or a checkpoint directory, got atuo"));
  EXPECT_THAT(refused(dir.path()), HasSubstr("no complete checkpoint in " + dir.path()));
  const std::string path = save_checkpoint(dir.path(), snapshot_of(5));
  fs::remove(path + "/state.json");
  EXPECT_THAT(refused(path), HasSubstr("state.json"));
}

}  // namespace
}  // namespace trireme
