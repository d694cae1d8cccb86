#include "core/checkpoint/durable_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/base/error.h"
#include "core/base/sync_directory.h"

namespace trireme {

void throw_io_error(std::string_view action, const std::string& path, int error, const char* op) {
  const char* hint = error == ENOSPC || error == EDQUOT ? "; free some space" : "";
  throw IoError(concat(op, ": cannot ", action, " ", path, ", ", std::strerror(error), hint));
}

DurableFile::DurableFile(std::string path, const char* op)
    : path_(std::move(path)),
      op_(op),
      fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (fd_ < 0) throw_io_error("create", path_, errno, op_);
}

DurableFile::~DurableFile() {
  if (fd_ >= 0) ::close(fd_);
}

void DurableFile::refuse(int error) const { throw_io_error("write", path_, error, op_); }

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

void make_directories(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return;
  const std::string parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) make_directories(parent);
  std::filesystem::create_directory(path, error);  // no error if another process was faster
  if (error) throw_io_error("create", path, error.value());
  sync_parent_directory(path);
}

}  // namespace trireme
