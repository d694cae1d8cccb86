#include "tests/support/system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <utility>

namespace trireme::testing {
namespace {

std::atomic<bool> counting{false}, exchange_refused{false};
std::atomic<int> calls_left{0};
std::mutex mutex;
std::vector<std::string> synced;  // Guarded by mutex.

void count_call() {
  if (counting && calls_left-- == 0) ::raise(SIGKILL);
}

void note_synced(int fd) {
  char path[PATH_MAX];
  const ssize_t length =
      ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof(path));
  const std::lock_guard lock(mutex);
  if (length > 0) synced.emplace_back(path, static_cast<size_t>(length));
}

int as_int(long result) { return static_cast<int>(result); }

}  // namespace

void die_at_call(int calls) {
  calls_left = calls;
  counting = true;
}

void refuse_exchange(bool refuse) { exchange_refused = refuse; }

std::vector<std::string> take_synced() {
  const std::lock_guard lock(mutex);
  return std::exchange(synced, {});
}

// The linker prefers these to the C library's.
extern "C" {
int mkdir(const char* path, mode_t mode) noexcept {
  count_call();
  return as_int(::syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}
ssize_t write(int fd, const void* data, size_t size) {
  count_call();
  return ::syscall(SYS_write, fd, data, size);
}
int fsync(int fd) {
  count_call();
  note_synced(fd);
  return as_int(::syscall(SYS_fsync, fd));
}
int rename(const char* from, const char* to) noexcept {
  count_call();
  return as_int(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
  count_call();
  if (exchange_refused && flags == RENAME_EXCHANGE) {
    errno = EINVAL;
    return -1;
  }
  return as_int(::syscall(SYS_renameat2, from_fd, from, to_fd, to, flags));
}
int unlinkat(int fd, const char* path, int flags) noexcept {
  count_call();
  return as_int(::syscall(SYS_unlinkat, fd, path, flags));
}
}

}  // namespace trireme::testing
