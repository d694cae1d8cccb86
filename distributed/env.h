// Who am I: this process's rank, the number of ranks, and where they meet.
//
// Sources, first match wins: explicit flags; TRIREME_RANK ...; RANK ... as torchrun sets them;
// OMPI_COMM_WORLD_RANK ... (mpirun); PET_NODE_RANK ... (one process per node of a Kubeflow
// TrainJob); SLURM_PROCID ... (a task of srun); else a single process.
//
//   const RankEnv env = detect_rank_env();
//   log_info(describe(env));  // rank 1 of 4, local rank 1 of 4, run a1b2 (from torchrun: RANK=1)
//
// Flags and the first three kinds of variables speak of one rank, so if two of them are there and
// disagree, one is left over from elsewhere and detection fails, showing both. PET_* and Slurm
// variables describe the node or the task around the launcher and differ from the rank by design;
// they count only where nothing else has set a rank.

#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/base/error.h"

namespace trireme {

/// The environment names no consistent rank: incomplete, not numbers, or contradicting each other.
/// Programs leave with kExitConfig (78).
class EnvironmentError : public InvalidArgument {
 public:
  using InvalidArgument::InvalidArgument;
};

enum class RankSource { kFlags, kTrireme, kTorchrun, kOpenMpi, kPet, kSlurm, kSingle };

/// "flags", "TRIREME variables", "torchrun variables" and so on.
const char* name_of(RankSource source);

/// What the user wrote on the command line. All four numbers, or none.
struct RankFlags {
  std::optional<int> rank;
  std::optional<int> world_size;
  std::optional<int> local_rank;
  std::optional<int> local_world_size;
};

struct RankEnv {
  int rank = 0;  // in [0, world_size)
  int world_size = 1;
  int local_rank = 0;        // among the ranks of this node, in [0, local_world_size)
  int local_world_size = 1;  // <= world_size; equal means that all ranks are on one node
  int node_rank = 0;
  std::string master_addr;  // where rank 0 listens; "" if the source does not say
  int master_port = 0;      // 0 if the source does not say
  /// The same on every rank, never empty; different for every run if the source names its runs
  /// (`trireme run`, torchrun with --rdzv-id or --standalone, mpirun, srun do).
  std::string run_id;
  RankSource source = RankSource::kSingle;
  std::string evidence;  // the variable that decided, "RANK=1"; "" for flags and single
};

/// Value of an environment variable, or nothing if unset or empty.
using EnvLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// The variables of this process.
std::optional<std::string> process_variable(const std::string& name);

/// Throws EnvironmentError for a set of variables with holes, text that is no number, a rank
/// outside its world, two sources that disagree, or several ranks without a name for their run;
/// InvalidArgument for such flags.
RankEnv detect_rank_env(const RankFlags& flags = {}, const EnvLookup& lookup = process_variable);

/// One line for the log: rank, world, node, run and what decided it.
std::string describe(const RankEnv& env);

}  // namespace trireme
