#include "core/checkpoint/durable_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/error.h"

namespace trireme {

void throw_io_error(std::string_view action, const std::string& path, int error) {
  const char* hint = error == ENOSPC || error == EDQUOT ? "; free some space" : "";
  throw IoError(concat("checkpoint: cannot ", action, " ", path, ", ", std::strerror(error), hint));
}

DurableFile::DurableFile(std::string path)
    : path_(std::move(path)),
      fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (fd_ < 0) throw_io_error("create", path_, errno);
}

DurableFile::~DurableFile() {
  if (fd_ >= 0) ::close(fd_);
}

void DurableFile::refuse(int error) const { throw_io_error("write", path_, error); }

void DurableFile::write(const void* data, size_t size_bytes) {
  // The checksum follows the write piece by piece, while the piece is still in the cache.
  constexpr size_t kPieceBytes = 1 << 20;
  const auto* next = static_cast<const unsigned char*>(data);
  while (size_bytes > 0) {
    const ssize_t written = ::write(fd_, next, std::min(size_bytes, kPieceBytes));
    if (written < 0) {
      if (errno == EINTR) continue;
      refuse(errno);
    }
    const auto count = static_cast<size_t>(written);
    crc32_ = static_cast<uint32_t>(::crc32_z(crc32_, next, count));
    next += count;
    size_bytes -= count;
    size_bytes_ += written;
  }
}

void DurableFile::commit() {
  if (::fsync(fd_) != 0) refuse(errno);
  if (::close(std::exchange(fd_, -1)) != 0) refuse(errno);
}

void sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw_io_error("open", path, errno);
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some network file systems refuse to sync a directory; their renames are durable by themselves.
  if (error != 0 && error != EINVAL) throw_io_error("sync", path, error);
}

}  // namespace trireme
