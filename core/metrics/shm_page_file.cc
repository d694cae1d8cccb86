#include "core/metrics/shm_page_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme {
namespace {

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

bool lock_page(int fd) {
  struct flock lock = whole_file();
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool is_page_locked(int fd) {
  struct flock lock = whole_file();
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool is_page_named(int fd, const std::string& name) {
  struct stat opened {
  }, named{};
  const int other = ::shm_open(name.c_str(), O_RDONLY | O_CLOEXEC, 0);
  if (other < 0) return false;
  const bool known = ::fstat(fd, &opened) == 0 && ::fstat(other, &named) == 0;
  ::close(other);
  return known && opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace trireme
