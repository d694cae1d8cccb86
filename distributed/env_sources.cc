#include "distributed/env_sources.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace trireme {
namespace {

template <typename... Parts>
[[noreturn]] void reject(const Parts&... parts) {
  throw EnvironmentError(concat("rank environment: ", parts...));
}

/// Names of the four variables that every per-rank launcher sets.
struct Names {
  const char* rank;
  const char* world_size;
  const char* local_rank;
  const char* local_world_size;
};

std::optional<RankEnv> read_four(const EnvLookup& lookup, const Names& names, RankSource source) {
  std::string present;
  std::string missing;
  int values[4] = {};
  const char* const all[4] = {names.rank, names.world_size, names.local_rank,
                              names.local_world_size};
  for (int i = 0; i < 4; ++i) {
    const std::optional<std::string> text = lookup(all[i]);
    if (!text) {
      missing += concat(missing.empty() ? "" : " ", all[i]);
      continue;
    }
    present += concat(present.empty() ? "" : " ", all[i], "=", *text);
    values[i] = *read_number(lookup, all[i]);
  }
  if (present.empty()) return std::nullopt;
  if (!missing.empty()) {
    reject(names.rank, ", ", names.world_size, ", ", names.local_rank, " and ",
           names.local_world_size, " must be set together, got ", present, " without ", missing,
           "; set all four, or none for a single process");
  }
  RankEnv env;
  env.rank = values[0];
  env.world_size = values[1];
  env.local_rank = values[2];
  env.local_world_size = values[3];
  env.source = source;
  env.evidence = concat(names.rank, "=", env.rank);
  check_ranks(env, present);
  return env;
}

/// Tasks on node `node` of Slurm's compressed list "2(x3),1": three nodes with 2 tasks, one with 1.
int tasks_on_node(const std::string& list, int node) {
  std::string_view rest = list;
  int first = 0;  // node that the current entry begins with
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    int tasks = 0;
    int nodes = 1;
    const char* end = entry.data() + entry.size();
    std::from_chars_result read = std::from_chars(entry.data(), end, tasks);
    if (entry.substr(read.ptr - entry.data()).starts_with("(x")) {
      read = std::from_chars(read.ptr + 2, end, nodes);
      if (read.ptr != end && *read.ptr == ')') ++read.ptr;
    }
    if (read.ec != std::errc{} || read.ptr != end) break;
    if (node < first + nodes) return tasks;
    first += nodes;
  }
  reject("SLURM_STEP_TASKS_PER_NODE must list the tasks of node ", node, ", got '", list, "'");
}

}  // namespace

std::optional<int> read_number(const EnvLookup& lookup, const std::string& name) {
  const std::optional<std::string> text = lookup(name);
  if (!text) return std::nullopt;
  int value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc{} || stop != end) {
    reject(name, " must be a whole number, got '", *text, "'");
  }
  return value;
}

void check_ranks(const RankEnv& env, const std::string& who) {
  const auto fits = [](int rank, int size) { return rank >= 0 && rank < size; };
  if (!fits(env.rank, env.world_size)) {
    reject("rank must be from 0 to world size - 1, got rank ", env.rank, " and world size ",
           env.world_size, " (", who, ")");
  }
  if (!fits(env.local_rank, env.local_world_size)) {
    reject("local rank must be from 0 to local world size - 1, got local rank ", env.local_rank,
           " and local world size ", env.local_world_size, " (", who, ")");
  }
  if (env.local_world_size > env.world_size || env.local_rank > env.rank) {
    reject("a node cannot hold more ranks than the world, got local rank ", env.local_rank, " of ",
           env.local_world_size, " and rank ", env.rank, " of ", env.world_size, " (", who, ")");
  }
}

std::optional<RankEnv> read_trireme(const EnvLookup& lookup) {
  constexpr Names kNames = {"TRIREME_RANK", "TRIREME_WORLD_SIZE", "TRIREME_LOCAL_RANK",
                            "TRIREME_LOCAL_WORLD_SIZE"};
  return read_four(lookup, kNames, RankSource::kTrireme);
}

std::optional<RankEnv> read_torchrun(const EnvLookup& lookup) {
  constexpr Names kNames = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
  std::optional<RankEnv> env = read_four(lookup, kNames, RankSource::kTorchrun);
  if (!env) return env;
  env->node_rank = read_number(lookup, "GROUP_RANK").value_or(0);
  // torchrun names a run "none" unless told otherwise.
  const std::string run = lookup("TORCHELASTIC_RUN_ID").value_or("none");
  if (run != "none") env->run_id = run;
  return env;
}

std::optional<RankEnv> read_open_mpi(const EnvLookup& lookup) {
  constexpr Names kNames = {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                            "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
  std::optional<RankEnv> env = read_four(lookup, kNames, RankSource::kOpenMpi);
  if (!env) return env;
  if (const auto job = lookup("PMIX_NAMESPACE")) env->run_id = "mpi-" + *job;
  return env;
}

std::optional<RankEnv> read_pet(const EnvLookup& lookup) {
  const std::optional<int> node_rank = read_number(lookup, "PET_NODE_RANK");
  if (!node_rank) return std::nullopt;
  const std::string per_node = lookup("PET_NPROC_PER_NODE").value_or("1");
  if (per_node != "1") {
    reject("a program that was started without a launcher is the only rank of its node, got ",
           "PET_NPROC_PER_NODE=", per_node, "; start it with `trireme run -n N -- program`");
  }
  const std::optional<int> nodes = read_number(lookup, "PET_NNODES");
  if (!nodes) reject("PET_NODE_RANK=", *node_rank, " needs PET_NNODES");
  RankEnv env;
  env.rank = env.node_rank = *node_rank;
  env.world_size = *nodes;
  env.source = RankSource::kPet;
  env.evidence = concat("PET_NODE_RANK=", *node_rank);
  check_ranks(env, concat(env.evidence, " PET_NNODES=", *nodes));
  if (const auto run = lookup("PET_RDZV_ID")) env.run_id = *run;
  return env;
}

std::optional<RankEnv> read_slurm(const EnvLookup& lookup) {
  // A batch script has SLURM_PROCID=0 and SLURM_NTASKS too; only a task of srun has the step's
  // size.
  const std::optional<int> tasks = read_number(lookup, "SLURM_STEP_NUM_TASKS");
  const std::optional<int> rank = read_number(lookup, "SLURM_PROCID");
  if (!tasks || !rank) return std::nullopt;
  const std::optional<int> local_rank = read_number(lookup, "SLURM_LOCALID");
  const std::optional<int> node = read_number(lookup, "SLURM_NODEID");
  const std::optional<std::string> per_node = lookup("SLURM_STEP_TASKS_PER_NODE");
  if (!local_rank || !node || !per_node) {
    reject("SLURM_PROCID=", *rank, " needs SLURM_LOCALID, SLURM_NODEID and ",
           "SLURM_STEP_TASKS_PER_NODE; start the program with srun");
  }
  RankEnv env;
  env.rank = *rank;
  env.world_size = *tasks;
  env.local_rank = *local_rank;
  env.local_world_size = tasks_on_node(*per_node, *node);
  env.node_rank = *node;
  env.source = RankSource::kSlurm;
  env.evidence = concat("SLURM_PROCID=", *rank);
  check_ranks(env, concat(env.evidence, " SLURM_STEP_NUM_TASKS=", *tasks, " SLURM_LOCALID=",
                          *local_rank, " SLURM_STEP_TASKS_PER_NODE=", *per_node));
  env.run_id = concat("slurm-", lookup("SLURM_JOB_ID").value_or("0"), ".",
                      lookup("SLURM_STEP_ID").value_or("0"));
  return env;
}

}  // namespace trireme
