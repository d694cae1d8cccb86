// Memory that several processes map, and file descriptors to hand it around. It has no name in any
// file system, so nothing is left behind however a process ends, and it does not count against the
// size of /dev/shm (64 MiB in a default container).

#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace trireme {

/// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Zeroed shared memory; `bytes` > 0. Pages come into being when they are touched.
FileDescriptor make_shared_memory(int64_t bytes);

/// Takes the pages of [offset, offset + bytes) from the system now, so that having none left is an
/// error here and not a signal later.
void reserve_shared_memory(const FileDescriptor& memory, int64_t offset, int64_t bytes);

/// Maps all of it until the last pointer goes.
std::shared_ptr<void> map_shared_memory(const FileDescriptor& memory, int64_t bytes);

}  // namespace trireme
