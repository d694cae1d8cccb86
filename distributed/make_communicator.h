// Chooses the communicator of a process.

#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "core/base/device.h"
#include "distributed/communicator.h"
#include "distributed/nccl_options.h"

namespace trireme {

struct CommunicatorOptions {
  /// For host memory: "auto", "shm", "mpi", "store", "local"; empty: TRIREME_BACKEND, else auto.
  std::string backend = {};
  int rank = 0;
  int world_size = 1;
  int local_world_size = 1;  // ranks on this node
  std::string run_id = {};   // the same on all ranks, unique among runs; needed by shm
  std::optional<std::chrono::milliseconds> timeout = {};  // empty: TRIREME_TIMEOUT_SECONDS
  /// Of this rank, see device_of_rank. On CUDA the communicator is nccl's, with one of `backend` as
  /// its host().
  Device device = {};
  std::optional<NcclOptions> nccl = {};  // empty: nccl_options_from_settings
  // Where ranks meet without MPI; see store.h. Of RankEnv.
  std::string master_addr = {};
  int master_port = 0;
};

/// Collective. "auto" is `local` for one rank, `shm` when all ranks are on this node, else `mpi`;
/// or `store` for the hosts of GPU ranks that neither mpirun nor srun's PMIx has started. Says on
/// rank 0 which one it is. Throws InvalidArgument when the choice cannot work, CommError when ranks
/// do not find each other.
std::unique_ptr<Communicator> make_communicator(const CommunicatorOptions& options);

}  // namespace trireme
