#include "core/base/sync_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/base/error.h"

namespace trireme {

void sync_directory(const std::string& path) {
  const auto refuse = [&path](int error) {
    throw IoError(concat("sync_directory: cannot sync ", path, ", ", std::strerror(error)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) refuse(errno);
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some network file systems refuse to sync a directory; their renames are durable by themselves.
  if (error != 0 && error != EINVAL) refuse(error);
}

void sync_parent_directory(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  sync_directory(parent.empty() ? "." : parent.string());
}

}  // namespace trireme
