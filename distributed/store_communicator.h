// The `store` backend: small collectives of host memory through a store, for ranks on several nodes
// without MPI. It carries the control traffic of ranks whose gradients go over NCCL; rank 0's
// process (or a directory) is passed by every byte, so it is no backend for CPU training.
//
// Each collective is one gather of the store; what it costs is a message to rank 0's node and back.
// Messages between two ranks travel as keys. Sums run in rank order: all ranks get the same bits.

#pragma once

#include <memory>

#include "distributed/communicator.h"
#include "distributed/store.h"

namespace trireme {

/// Collective: the ranks introduce themselves. Throws CommError, see store.h.
std::unique_ptr<Communicator> make_store_communicator(std::unique_ptr<Store> store, int rank,
                                                      int world_size, const CommOptions& options);

}  // namespace trireme
