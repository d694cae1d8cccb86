// A whole file mapped into memory.

#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace trireme {

/// Maps `path` for as long as the object lives. Pages are read on first touch and shared with every
/// other process that maps the same file. The file must not shrink meanwhile (a touch of a missing
/// page would raise SIGBUS); replacing it by rename, or deleting it, is fine.
class MappedFile {
 public:
  enum class Access {
    kReadOnly,
    kCopyOnWrite,  // writing is allowed, changes this mapping only and never the file
  };

  /// Throws DataError with the path and the reason (missing, a directory, no permission), and
  /// IoError where the system is to blame. op: who reads, as errors name it.
  explicit MappedFile(std::string path, Access access = Access::kReadOnly,
                      const char* op = "map_file");
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  size_t size_bytes() const { return size_bytes_; }
  std::byte* data() const { return data_; }  // null for an empty file
  std::span<const std::byte> bytes() const { return {data_, size_bytes_}; }

 private:
  std::string path_;
  std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
};

}  // namespace trireme
