// What a rank settles before training: threads, run id, run directory.

#pragma once

#include <memory>
#include <string>

#include "core/base/device.h"
#include "distributed/communicator.h"
#include "distributed/env.h"

namespace trireme {

/// TRIREME_NUM_THREADS if set, else OMP_NUM_THREADS, else this process's cores divided by the ranks
/// of the node when all of them may use the same cores.
void choose_num_threads(const RankEnv& env);

/// Threads that prepare this rank's batches: `wanted`, or for 0 what choose_num_threads has left.
/// With a GPU the host's cores have little else to do: all but the one that queues the steps. On
/// the CPU they compute, and preparing photographs takes from a thirtieth to a quarter of the time
/// of training a small network on them: an eighth, at least one.
int choose_loader_threads(int64_t wanted, Device device);

/// Where this rank computes, see device_of_rank. To be called before anything else of CUDA.
Device choose_device(const std::string& text, const RankEnv& env);

/// With TRIREME_CUDA_TRACE=on and a CUDA device: writes <directory>/trace-rank-<rank>.json until
/// the returned object is dropped (core/cuda/activity_trace.h). Null otherwise. Throws CudaError
/// where this build or machine cannot trace.
std::shared_ptr<const void> start_trace(const std::string& directory, Device device, int rank);

/// The run's name, from rank 0: the environment's if it names runs, else a new one.
std::string agree_on_run_name(const RankEnv& env, Communicator& communicator);

/// The run directory: `out` if given, else TRIREME_RUN_DIR (set by the launcher), else
/// runs/<run id>. Rank 0 creates it. Throws IoError with path and reason.
std::string prepare_run_directory(const std::string& out, const std::string& run_id,
                                  Communicator& communicator);

}  // namespace trireme
