#include "core/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/error.h"

namespace trireme {

MappedFile::MappedFile(std::string path, Access access, const char* op) : path_(std::move(path)) {
  const auto refuse = [this, op](int fd, int error) {
    if (fd >= 0) ::close(fd);
    fail_to_read(op, path_, error);
  };
  // A pipe without a writer must not make us wait; files do not care.
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) refuse(fd, errno);
  struct stat info = {};
  if (::fstat(fd, &info) != 0) refuse(fd, errno);
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    throw DataError(concat(op, ": cannot read ", path_, ", it is not a regular file"));
  }
  size_bytes_ = static_cast<size_t>(info.st_size);
  if (size_bytes_ > 0) {
    const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
    void* data = ::mmap(nullptr, size_bytes_, protection, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    if (data == MAP_FAILED) refuse(fd, errno);
    data_ = static_cast<std::byte*>(data);
  }
  ::close(fd);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(data_, size_bytes_);
}

}  // namespace trireme
