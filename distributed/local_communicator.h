// The `local` backend: ranks are threads of one process. The reference for the other backends, and
// what unit tests run under ThreadSanitizer.

#pragma once

#include <memory>
#include <vector>

#include "distributed/communicator.h"

namespace trireme {

/// One communicator per rank, in rank order, all of one group. Each is used by one thread; each may
/// be destroyed at any time. Requires world_size >= 1.
std::vector<std::unique_ptr<Communicator>> make_local_communicators(
    int world_size, const CommOptions& options = {});

}  // namespace trireme
