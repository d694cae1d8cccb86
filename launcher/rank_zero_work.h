// Work that only rank 0 does, such as writing files, while the other ranks wait for it.

#pragma once

#include <functional>

#include "distributed/communicator.h"

namespace trireme {

/// Collective. Runs `work` on rank 0 and returns on every rank once it is done. The others do not
/// wait in one collective, whose deadline a slow disk would miss, but in a short one after another:
/// so `work` may take any time, and a rank 0 that is gone is still seen within the deadline. `work`
/// runs in a thread of its own and must not use the communicator. What it throws is thrown on rank
/// 0; the others wait until rank 0 aborts the communicator.
void run_on_rank_zero(Communicator& communicator, const std::function<void()>& work);

}  // namespace trireme
