#include "core/base/memory_kind.h"

namespace trireme {

const char* name_of(MemoryKind kind) {
  constexpr const char* kNames[kMemoryKinds] = {
      "other", "parameters", "gradients", "optimizer", "activations", "communication", "workspace"};
  return kNames[static_cast<int>(kind)];
}

}  // namespace trireme
