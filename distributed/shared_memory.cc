#include "distributed/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.h"

namespace trireme {
namespace {

[[noreturn]] void throw_system(const char* what, int64_t bytes, int error) {
  throw CommError(CommError::Kind::kSystem,
                  concat("shared memory: ", what, " ", bytes, " bytes failed, ",
                         std::strerror(error), "; check the memory limit of this job"));
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

FileDescriptor make_shared_memory(int64_t bytes) {
  FileDescriptor memory(memfd_create("trireme", MFD_CLOEXEC));
  if (!memory || ftruncate(memory.get(), bytes) != 0) throw_system("creating", bytes, errno);
  return memory;
}

void reserve_shared_memory(const FileDescriptor& memory, int64_t offset, int64_t bytes) {
  int result = 0;
  do {
    result = fallocate(memory.get(), 0, offset, bytes);
  } while (result != 0 && errno == EINTR);
  if (result != 0) throw_system("reserving", bytes, errno);
}

std::shared_ptr<void> map_shared_memory(const FileDescriptor& memory, int64_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (data == MAP_FAILED) throw_system("mapping", bytes, errno);
  // Advice only: large pages save address translations where the system allows them.
  madvise(data, bytes, MADV_HUGEPAGE);
  return {data, [bytes](void* p) { munmap(p, bytes); }};
}

}  // namespace trireme
