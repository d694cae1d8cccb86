// Statistics of memory for messages.

#pragma once

#include <string>

#include "core/base/memory_kind.h"

namespace trireme {

/// What is in use, in MiB and by kind: "120 (parameters 100, activations 20)".
std::string in_use_text(const MemoryStats& stats);

}  // namespace trireme
