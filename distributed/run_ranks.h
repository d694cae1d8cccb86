// Runs a function of a rank on several threads: distributed code in one process.
//
//   run_ranks(4, [](Communicator& comm) { ...; comm.barrier(); });

#pragma once

#include <functional>

#include "distributed/communicator.h"

namespace trireme {

/// Calls rank_main on `world_size` new threads, each with its `local` communicator, and waits for
/// all. When one throws, the group is aborted so that the others end too, and the first error that
/// is not a consequence of another is rethrown here.
void run_ranks(int world_size, const std::function<void(Communicator&)>& rank_main,
               const CommOptions& options = {});

}  // namespace trireme
