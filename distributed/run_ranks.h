// Ranks as threads of one process: the same code as with one process per rank.
//
//   run_ranks(4, [](Communicator& comm) { ...; comm.barrier(); });
//   run_ranks(8, DeviceType::kCuda, [](Communicator& comm) {   // one thread per GPU
//     Gpt model(config, generator);
//     model.to(comm.device());
//     DistributedDataParallel ddp(model, comm);
//     ...
//   });
//
// Each thread has its own model, its own data and its own optimizer; gradients are averaged as
// between processes. Nothing is copied between the ranks' models after the first broadcast.

#pragma once

#include <functional>

#include "core/base/device.h"
#include "distributed/communicator.h"
#include "distributed/nccl_options.h"

namespace trireme {

/// Calls rank_main on `world_size` new threads, each with its `local` communicator, and waits for
/// all. When one throws, the group is aborted so that the others end too, and the first error that
/// is not a consequence of another is rethrown here.
void run_ranks(int world_size, const std::function<void(Communicator&)>& rank_main,
               const CommOptions& options = {});

/// The same on a kind of device. On CUDA rank r drives cuda:r, which is its thread's CUDA device,
/// with an `nccl` communicator (one rank alone needs none). Throws InvalidArgument before any
/// thread starts where this process sees fewer devices than ranks: threads cannot share one.
void run_ranks(int world_size, DeviceType device,
               const std::function<void(Communicator&)>& rank_main, const CommOptions& options = {},
               const NcclOptions& nccl = nccl_options_from_settings());

}  // namespace trireme
