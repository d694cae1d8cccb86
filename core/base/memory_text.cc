#include "core/base/memory_text.h"

#include "core/base/error.h"

namespace trireme {

std::string in_use_text(const MemoryStats& stats) {
  constexpr int64_t kMiB = 1 << 20;
  std::string by_kind;
  for (int k = 0; k < kMemoryKinds; ++k) {
    const int64_t used = stats.allocated_bytes[static_cast<size_t>(k)];
    if (used == 0) continue;
    by_kind += concat(by_kind.empty() ? " (" : ", ", name_of(static_cast<MemoryKind>(k)), " ",
                      used / kMiB);
  }
  return concat(stats.total_allocated_bytes / kMiB, by_kind, by_kind.empty() ? "" : ")");
}

}  // namespace trireme
