// The `shm` backend: ranks are processes of one node.

#pragma once

#include <memory>
#include <string>

#include "distributed/communicator.h"

namespace trireme {

/// Collective over the processes that give the same `run_id`. Throws CommError as NodeGroup says.
/// Requires Linux, one user, one network name space, and one process-id name space (checked).
std::unique_ptr<Communicator> make_shm_communicator(const std::string& run_id, int rank,
                                                    int world_size, const CommOptions& options);

}  // namespace trireme
