#include "core/checkpoint/directory_lock.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/checkpoint/durable_file.h"

namespace trireme {
namespace {

std::string this_process() {
  char host[HOST_NAME_MAX + 1] = {};
  ::gethostname(host, sizeof(host) - 1);
  return concat("process ", ::getpid(), " on ", host);
}

std::string content_of(int fd) {
  char text[HOST_NAME_MAX + 64];
  const ssize_t count = ::pread(fd, text, sizeof(text), 0);
  return {text, static_cast<size_t>(count > 0 ? count : 0)};
}

}  // namespace

DirectoryLock::DirectoryLock(const std::string& directory) {
  const std::string path = directory + "/.lock";
  // Writable, because network file systems give no exclusive lock otherwise.
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) throw_io_error("create", path, errno);
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error == EWOULDBLOCK) {
      const std::string holder = content_of(fd_);
      ::close(fd_);
      throw IoError(concat("checkpoint: another run writes to ", directory,
                           holder.empty() ? "" : ", ", holder,
                           "; end it, or choose another directory (--out)"));
    }
    log_warning("checkpoint: cannot lock ", path, ", ", std::strerror(error),
                "; see to it that only one run writes there");
    return;
  }
  // Only for the message above: a disk that is full up to this line fails later with a better one.
  const std::string holder = this_process();
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, holder.data(), holder.size(), 0) < 0) {
    log_debug("checkpoint: cannot write ", path, ", ", std::strerror(errno));
  }
}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

std::shared_ptr<const DirectoryLock> lock_directory(const std::string& directory) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<const DirectoryLock>> locks;  // Guarded by mutex.
  const std::lock_guard guard(mutex);
  std::error_code ignored;
  auto& known = locks[std::filesystem::canonical(directory, ignored)];
  auto lock = known.lock();
  if (!lock) known = lock = std::make_shared<const DirectoryLock>(directory);
  return lock;
}

}  // namespace trireme
