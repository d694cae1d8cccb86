// Chooses the communicator of a process.

#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "distributed/communicator.h"

namespace trireme {

struct CommunicatorOptions {
  std::string backend;  // "auto", "shm", "mpi", "local"; empty: TRIREME_BACKEND, else auto
  int rank = 0;
  int world_size = 1;
  int local_world_size = 1;  // ranks on this node
  std::string run_id;        // the same on all ranks, unique among runs; needed by shm
  std::optional<std::chrono::milliseconds> timeout;  // empty: TRIREME_TIMEOUT_SECONDS
};

/// Collective. "auto" is `local` for one rank, `shm` when all ranks are on this node, else `mpi`.
/// Says on rank 0 which one it is. Throws InvalidArgument when the choice cannot work, CommError
/// when ranks do not find each other.
std::unique_ptr<Communicator> make_communicator(const CommunicatorOptions& options);

}  // namespace trireme
