// Do all ranks hold the same thing? Compared by digest first; only a difference is looked at
// closer.

#pragma once

#include <string>
#include <vector>

#include "distributed/communicator.h"

namespace trireme {

/// One line per tensor, "h.0.attn.c_attn.weight f32[768, 2304] strides [2304, 1]".
using Description = std::vector<std::string>;

/// FNV-1a over bytes: stable across processes and machines.
uint64_t digest_of(const void* data, size_t bytes, uint64_t seed = 0xcbf29ce484222325);

/// Collective. Throws CommError kMismatch on every rank unless all give the same lines; the message
/// starts with `what` and shows the first line that differs, with the ranks that hold each variant.
void require_same_on_all_ranks(const char* what, const Description& mine,
                               Communicator& communicator);

}  // namespace trireme
