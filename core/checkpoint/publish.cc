#include "core/checkpoint/publish.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/checkpoint/durable_file.h"
#include "core/checkpoint/manifest.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryPrefix = ".tmp-";
constexpr std::string_view kReplacedSuffix = ".old";

bool is_complete(const std::string& path) {
  try {
    read_manifest(path);
    return true;
  } catch (const IoError&) {
    return false;
  }
}

// For file systems that cannot exchange (NFS). While `checkpoint` is missing, readers find what was
// there under its other name.
void publish_in_steps(const std::string& temporary, const std::string& checkpoint) {
  const std::string old = concat(checkpoint, kReplacedSuffix);
  if (::rename(checkpoint.c_str(), old.c_str()) != 0) throw_io_error("replace", checkpoint, errno);
  if (::rename(temporary.c_str(), checkpoint.c_str()) != 0) {
    const int error = errno;
    ::rename(old.c_str(), checkpoint.c_str());
    throw_io_error("write", checkpoint, error);
  }
  if (::rename(old.c_str(), temporary.c_str()) != 0) {
    log_warning("cannot delete ", old, ", ", std::strerror(errno));
  }
}

}  // namespace

std::string temporary_of(const std::string& checkpoint) {
  const fs::path path(checkpoint);
  return path.parent_path() / concat(kTemporaryPrefix, path.filename().string());
}

void remove_quietly(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) log_warning("cannot delete ", path, ", ", error.message());
}

void publish(const std::string& temporary, const std::string& checkpoint) {
  std::error_code ignored;
  if (!fs::exists(checkpoint, ignored)) {
    if (::rename(temporary.c_str(), checkpoint.c_str()) != 0)
      throw_io_error("write", checkpoint, errno);
    return;
  }
  // One step, so that a checkpoint of this name exists at every instant.
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, checkpoint.c_str(), RENAME_EXCHANGE) ==
      0) {
    return;
  }
  if (errno != EINVAL && errno != ENOSYS) throw_io_error("write", checkpoint, errno);
  publish_in_steps(temporary, checkpoint);
}

void delete_checkpoint(const std::string& checkpoint) {
  const std::string doomed = temporary_of(checkpoint);
  if (::rename(checkpoint.c_str(), doomed.c_str()) == 0) {
    remove_quietly(doomed);
  } else {
    log_warning("cannot delete ", checkpoint, ", ", std::strerror(errno));
  }
}

void remove_leftovers(const std::string& directory) {
  std::vector<std::string> temporary, replaced;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kTemporaryPrefix))
      temporary.push_back(entry.path());
    else if (name.ends_with(kReplacedSuffix))
      replaced.push_back(entry.path());
  }
  for (const std::string& path : temporary) remove_quietly(path);
  for (const std::string& path : replaced) {
    const std::string final = path.substr(0, path.size() - kReplacedSuffix.size());
    if (is_complete(final)) {
      delete_checkpoint(path);
    } else if (!fs::exists(final, error) || is_complete(path)) {
      remove_quietly(final);  // damaged, if it is there
      if (::rename(path.c_str(), final.c_str()) != 0) throw_io_error("recover", path, errno);
    }
  }
}

}  // namespace trireme
