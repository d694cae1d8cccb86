// The communicator of a GPU rank that is alone: no NCCL, no kernels, nothing to wait for.

#pragma once

#include <memory>

#include "distributed/communicator.h"

namespace trireme {

/// `host` is of one rank. Reductions leave the buffer as it is; what moves data to another buffer
/// copies it on the current stream.
std::unique_ptr<Communicator> make_single_cuda_communicator(std::unique_ptr<Communicator> host,
                                                            int device);

}  // namespace trireme
