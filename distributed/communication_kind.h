// What Communicator::allocate counts memory of a GPU as.

#pragma once

#include "core/base/memory_kind.h"

namespace trireme {

/// What the calling thread's MemoryKindGuard says that the memory is for (gradients), else
/// communication.
inline MemoryKind communication_kind() {
  const MemoryKind asked = current_memory_kind();
  return asked == MemoryKind::kOther ? MemoryKind::kCommunication : asked;
}

}  // namespace trireme
