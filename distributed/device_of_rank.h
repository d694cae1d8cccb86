// The device of a rank, from its number on the node and before the first use of CUDA.

#pragma once

#include <string_view>

#include "core/base/device.h"
#include "distributed/env.h"

namespace trireme {

/// "cpu"; "cuda": local rank r takes cuda:r, where a process sees one device only (CUDA_VISIBLE_
/// DEVICES of a launcher) that one; "cuda:N": that device, for one rank per node. A CUDA device
/// becomes the calling thread's; no other device gets a context. Throws CudaError where there is no
/// driver or no such device, or in a build without CUDA; InvalidArgument where there are more ranks
/// on this node than devices, unless TRIREME_ALLOW_SHARED_GPU=1 lets them share.
Device device_of_rank(std::string_view wish, const RankEnv& env);

/// Throws InvalidArgument unless each of `ranks` threads of this process can have a CUDA device of
/// its own; CudaError where there is no driver or no device, or in a build without CUDA. Chooses no
/// device.
void require_device_per_thread(int ranks);

}  // namespace trireme
