// Writing files that must survive a crash: whole or not at all, and one clear error.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trireme {

/// A new file, written from start to end. Every failure (disk full, quota, file size limit) is an
/// IoError with path and reason; what was written so far stays for the caller to delete.
class DurableFile {
 public:
  /// Requires that `path` does not exist yet. op: who writes, as errors name it.
  explicit DurableFile(std::string path, const char* op = "checkpoint");
  /// Closes the file; without commit() its content may be lost.
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;

  void write(const void* data, size_t size_bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Brings the content to the disk (fsync) and closes.
  void commit();

  int64_t size_bytes() const { return size_bytes_; }
  /// CRC-32 (IEEE 802.3, as zlib and gzip use it) of what was written.
  uint32_t crc32() const { return crc32_; }

 private:
  [[noreturn]] void refuse(int error) const;

  std::string path_;
  const char* op_;
  int fd_;
  int64_t size_bytes_ = 0;
  uint32_t crc32_ = 0;
};

/// Creates a directory and those above it that are missing, durably. Throws IoError.
void make_directories(const std::string& path);

/// Throws IoError `<op>: cannot <action> <path>, <reason of errno value>`.
[[noreturn]] void throw_io_error(std::string_view action, const std::string& path, int error,
                                 const char* op = "checkpoint");

}  // namespace trireme
