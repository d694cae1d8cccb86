// One run at a time writes into a directory.

#pragma once

#include <memory>
#include <string>

namespace trireme {

/// While it lives, no other process gets the lock of the directory. Ends with the process, however
/// that ends. A file system without locks gives a warning and no protection.
class DirectoryLock {
 public:
  /// Requires that the directory exists; leaves a file `.lock` in it. Throws IoError that names the
  /// process that has the lock.
  explicit DirectoryLock(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;

 private:
  int fd_;
};

/// The lock of `directory`; all who ask in this process share one. Thread-safe.
std::shared_ptr<const DirectoryLock> lock_directory(const std::string& directory);

}  // namespace trireme
