// Which checkpoints are there, and from which one a run resumes.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

struct CheckpointInfo {
  std::string path;
  int64_t step = 0;
  int64_t serial = 0;
};

/// "step-00000100".
std::string checkpoint_name(int64_t step);

/// The directory of a run's checkpoints: <out_dir>/checkpoints.
std::string checkpoint_directory(const std::string& out_dir);

/// The complete checkpoints in `directory`, in the order they were written; empty if there is no
/// such directory. Complete means: the manifest is readable and all its files have their sizes.
/// Others are left out with a warning in the log; temporary directories of interrupted saves
/// silently. One that was about to be replaced may be among them as step-N.old.
std::vector<CheckpointInfo> list_checkpoints(const std::string& directory);

/// The complete checkpoint written last.
std::optional<std::string> find_latest(const std::string& directory);

/// What `--resume TEXT` means for a run that writes to `out_dir`:
///   never  nothing
///   auto   the latest checkpoint of out_dir, or nothing if there is none
///   PATH   that checkpoint, or the latest one if PATH is a run or a directory of checkpoints
/// Throws DataError when PATH holds no complete checkpoint.
std::optional<std::string> resolve_resume(const std::string& out_dir, const std::string& text);

}  // namespace trireme
