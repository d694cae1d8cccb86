// The environment contract: what every rank finds in its environment.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "launcher/agent/cores.h"

namespace trireme {

/// What all ranks of the run have in common.
struct RunIdentity {
  std::string run_id;
  std::string directory;  // absolute
  std::string device;     // "cpu"
  int ranks = 1;
  int master_port = 0;
  bool serves_metrics = false;  // the launcher does
};

/// The variables that the launcher sets for `rank`, in the order in which --dry-run prints them:
/// TRIREME_*, torchrun's names, and the number of threads unless the user has set it.
std::vector<std::pair<std::string, std::string>> rank_variables(const RunIdentity& run, int rank,
                                                                int threads);

/// This process's environment with `variables` in place, and without what an outer mpirun has set
/// for the launcher alone. "NAME=value" each.
std::vector<std::string> merge_environment(
    const std::vector<std::pair<std::string, std::string>>& variables);

}  // namespace trireme
