// What each kind of launcher says about this process. detect_rank_env chooses among them.

#pragma once

#include <optional>

#include "distributed/env.h"

namespace trireme {

/// Each returns nothing if its variables are absent and throws EnvironmentError if only some are
/// there or one makes no sense. Rank numbers are checked against each other; master_* and run_id
/// are left alone where the source has none.
std::optional<RankEnv> read_trireme(const EnvLookup& lookup);
std::optional<RankEnv> read_torchrun(const EnvLookup& lookup);
std::optional<RankEnv> read_open_mpi(const EnvLookup& lookup);
std::optional<RankEnv> read_pet(const EnvLookup& lookup);
std::optional<RankEnv> read_slurm(const EnvLookup& lookup);

/// The variable as a whole number; throws EnvironmentError naming it if it is none.
std::optional<int> read_number(const EnvLookup& lookup, const std::string& name);

/// Throws EnvironmentError, `who` first, unless the numbers of `env` fit together.
void check_ranks(const RankEnv& env, const std::string& who);

}  // namespace trireme
