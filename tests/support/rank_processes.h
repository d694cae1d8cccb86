// Runs parts of a test in several processes.
//
// The test starts its own program again, once per rank, with a filter for the same test. In those
// processes the call returns only after running the body as that rank, so one function serves the
// test and its ranks. A test may make several such calls; each process runs the one it was made
// for.

#pragma once

#include <functional>
#include <string>
#include <vector>

namespace trireme::testing {

enum class StartWith { kFork, kMpirun };

/// How a rank ended.
struct RankOutcome {
  int exit_code = 0;   // of a normal exit; 1 if an expectation failed or an error escaped
  int signal = 0;      // that ended it, else 0
  std::string output;  // stdout and stderr; under mpirun of all ranks together
};

/// What a rank's process is told; world_size and run id come with TRIREME_* or from MPI.
struct RankPlace {
  int rank = 0;
  int world_size = 1;
  std::string run_id;
};

/// In the test: starts `world_size` processes, waits for all of them (at most two minutes, then
/// kills them and fails) and returns how they ended; one outcome under mpirun. Fails if one ended
/// well without having run the body. In such a process: runs the body if this call is meant, and
/// returns nothing.
std::vector<RankOutcome> run_rank_processes(StartWith start, int world_size,
                                            const std::function<void(const RankPlace&)>& body);

/// True in a process that a test started.
bool is_rank_process();

/// "" if mpirun can be used, else why not.
std::string why_no_mpirun();

}  // namespace trireme::testing
