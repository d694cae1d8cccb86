// How ranks become one NCCL communicator.
//
// Over the host communicator they tell each other which NCCL they have, on which host and GPU they
// are, and how they are configured; what cannot work is said there, on every rank alike, before
// NCCL would wait or fail without saying why. Then rank 0's unique id goes to all.

#pragma once

#include <memory>

#include "distributed/communicator.h"
#include "distributed/nccl_options.h"

namespace trireme {

/// Collective. `device` is the CUDA index of this rank's GPU. Throws CommError: kMismatch where
/// versions or options differ, where two ranks are on one GPU, or ranks of one process share one;
/// kTimeout where ranks are missing.
std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host, int device,
                                                     const NcclOptions& options,
                                                     const CommOptions& comm_options);

}  // namespace trireme
