#include "distributed/device_communicator.h"

#include "core/base/config.h"
#include "core/base/device_tag.h"
#include "core/base/error.h"
#include "distributed/nccl_rendezvous.h"
#include "distributed/single_communicator_cuda.h"

namespace trireme {

std::unique_ptr<Communicator> make_device_communicator(
    std::unique_ptr<Communicator> host, Device device, [[maybe_unused]] const NcclOptions& nccl,
    [[maybe_unused]] const CommOptions& options) {
  if (device.is_cpu()) return host;
  if constexpr (kHasCuda) {
    current_cuda(device.index);
    if (host->world_size() == 1)
      return make_single_cuda_communicator(std::move(host), device.index);
  }
  if constexpr (kHasNccl) {
    return make_nccl_communicator(std::move(host), device.index, nccl, options);
  }
  fail("make_communicator", "this build has no ", kHasCuda ? "NCCL" : "CUDA",
       ", which ranks on GPUs need; configure with TRIREME_CUDA=ON and TRIREME_NCCL=ON, or use "
       "--device cpu");
}

}  // namespace trireme
