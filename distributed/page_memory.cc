#include "distributed/page_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/base/error.h"

namespace trireme {

std::shared_ptr<void> allocate_pages(int64_t bytes) {
  const size_t padded = std::max<size_t>(64, (static_cast<size_t>(bytes) + 63) / 64 * 64);
  void* memory = std::aligned_alloc(64, padded);
  if (!memory) {
    throw CommError(CommError::Kind::kSystem,
                    concat("allocate: no memory left for ", bytes, " bytes"));
  }
  std::memset(memory, 0, padded);
  return {memory, [](void* p) { std::free(p); }};
}

}  // namespace trireme
