// The communicator of a rank on a device, made from the one for its host memory.

#pragma once

#include <memory>

#include "distributed/communicator.h"
#include "distributed/nccl_options.h"

namespace trireme {

/// Collective. `host` itself for the CPU; for a CUDA device one for its memory, with `host` as its
/// host(): nccl, or none at all for one rank. The device becomes the calling thread's. Throws
/// InvalidArgument where this build cannot.
std::unique_ptr<Communicator> make_device_communicator(std::unique_ptr<Communicator> host,
                                                       Device device, const NcclOptions& nccl,
                                                       const CommOptions& options);

}  // namespace trireme
