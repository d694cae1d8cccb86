// Saving where there is no room: one error with path and reason, the older checkpoint stays, and
// nothing of the new one is left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.h"
#include "core/checkpoint/catalog.h"
#include "core/checkpoint/safetensors.h"
#include "tests/checkpoint/snapshots.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using testing::entries_of;
using ::testing::HasSubstr;
using testing::is_snapshot_of;
using testing::message_of;
using testing::snapshot_of;
using testing::TempDir;

// While alive, no file may grow beyond the limit; a write that tries fails instead of killing us.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_ = {};
  void (*handler_)(int);
};

// A file system of its own, of 256 KiB.
class TinyDisk {
 public:
  TinyDisk() : mounted_(::mount("none", dir_.path().c_str(), "tmpfs", 0, "size=256k") == 0) {}
  ~TinyDisk() {
    if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  const std::string& path() const { return dir_.path(); }

 private:
  TempDir dir_;
  bool mounted_;
};

void expect_only(const std::string& directory, int64_t step) {
  EXPECT_EQ(entries_of(directory).size(), 1u);
  EXPECT_TRUE(is_snapshot_of(step, load_checkpoint(*find_latest(directory))));
}

TEST(DiskFull, AFileSizeLimitIsReportedAndLeavesNothing) {
  const TempDir dir;
  save_checkpoint(dir.path(), snapshot_of(1));
  const Snapshot large = snapshot_of(2, 100'000);
  const FileSizeLimit limit(64 << 10);
  EXPECT_THAT(message_of<IoError>([&] { save_checkpoint(dir.path(), large); }),
              AllOf(HasSubstr("cannot write"), HasSubstr("model.safetensors, File too large")));
  expect_only(dir.path(), 1);
  EXPECT_THROW(save_safetensors(dir / "export.safetensors", large.model), IoError);
  expect_only(dir.path(), 1);
}

TEST(DiskFull, AFullDiskIsReportedAndLeavesNothing) {
  const TinyDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << std::strerror(errno);
  save_checkpoint(disk.path(), snapshot_of(1));
  EXPECT_THAT(message_of<IoError>([&] { save_checkpoint(disk.path(), snapshot_of(2, 100'000)); }),
              AllOf(HasSubstr("No space left on device"), HasSubstr(disk.path())));
  expect_only(disk.path(), 1);
  // The model fits, the optimizer state does not.
  EXPECT_THAT(message_of<IoError>([&] { save_checkpoint(disk.path(), snapshot_of(2, 40'000)); }),
              HasSubstr("optimizer.safetensors, No space left on device"));
  expect_only(disk.path(), 1);
  save_checkpoint(disk.path(), snapshot_of(3), 1);
  expect_only(disk.path(), 3);
}

TEST(DiskFull, ADirectoryThatCannotBeMadeIsReported) {
  const TempDir dir;
  dir.write("file", "not a directory");
  EXPECT_THAT(
      message_of<IoError>([&] { save_checkpoint(dir / "file/checkpoints", snapshot_of(1)); }),
      AllOf(HasSubstr("cannot create"), HasSubstr("file/checkpoints")));
}

}  // namespace
}  // namespace trireme
