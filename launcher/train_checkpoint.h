// Checkpoints of trireme-train: rank 0 reads and writes, the others receive.

#pragma once

#include <cstdint>
#include <string>

#include "core/nn/module.h"
#include "core/optim/optimizer.h"
#include "distributed/communicator.h"

namespace trireme {

/// Collective. Rank 0 writes model, optimizer, position and random generators to
/// <out>/checkpoints/step-N; the others wait for it.
void save_training_state(const std::string& out, int64_t step, Module& model,
                         const Optimizer& optimizer, int keep, Communicator& communicator);

/// Collective. Rank 0 finds the checkpoint that `resume` means (catalog.h) and loads it; optimizer
/// state and position are sent to the other ranks, the model's parameters are not, because
/// DistributedDataParallel does that. Returns the number of steps done, 0 without a checkpoint.
int64_t restore_training_state(const std::string& out, const std::string& resume, Module& model,
                               Optimizer& optimizer, Communicator& communicator);

}  // namespace trireme
