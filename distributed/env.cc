#include "distributed/env.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/base/settings.h"
#include "distributed/env_sources.h"
#include "distributed/run_id.h"

namespace trireme {
namespace {

std::optional<RankEnv> read_flags(const RankFlags& flags) {
  const int given = flags.rank.has_value() + flags.world_size.has_value() +
                    flags.local_rank.has_value() + flags.local_world_size.has_value();
  if (given == 0) return std::nullopt;
  require(given == 4, "rank flags",
          "rank, world size, local rank and local world size must be given together, got ", given,
          " of them");
  RankEnv env;
  env.rank = *flags.rank;
  env.world_size = *flags.world_size;
  env.local_rank = *flags.local_rank;
  env.local_world_size = *flags.local_world_size;
  env.source = RankSource::kFlags;
  check_ranks(env, "flags");
  return env;
}

std::string place_of(const RankEnv& env) {
  return concat("rank ", env.rank, " of ", env.world_size, ", local rank ", env.local_rank, " of ",
                env.local_world_size);
}

std::string origin_of(const RankEnv& env) {
  return env.evidence.empty() ? name_of(env.source) : env.evidence;
}

/// Adds what another source says to what is known. Both speak of the same rank, so they must agree.
void merge(std::optional<RankEnv>& known, std::optional<RankEnv> more) {
  if (!more) return;
  if (!known) {
    known = std::move(more);
  } else if (place_of(*known) != place_of(*more)) {
    throw EnvironmentError(concat(
        "rank environment: all sources must agree, got ", place_of(*known), " from ",
        origin_of(*known), ", but ", place_of(*more), " from ", origin_of(*more), "; unset the ",
        name_of(more->source), " or ",
        known->source == RankSource::kFlags ? "leave out the " : "the ", name_of(known->source)));
  } else {
    known->node_rank = std::max(known->node_rank, more->node_rank);
    if (known->run_id.empty()) known->run_id = more->run_id;
  }
}

RankEnv choose(const RankFlags& flags, const EnvLookup& lookup) {
  std::optional<RankEnv> env = read_flags(flags);
  // The innermost launcher speaks first.
  for (const auto read : {read_trireme, read_torchrun, read_open_mpi}) merge(env, read(lookup));
  if (!env) env = read_pet(lookup);
  if (!env) env = read_slurm(lookup);
  return env.value_or(RankEnv());
}

void read_master(const EnvLookup& lookup, RankEnv& env) {
  env.master_addr = lookup("MASTER_ADDR").value_or(lookup("PET_MASTER_ADDR").value_or(""));
  const char* const port_name = lookup("MASTER_PORT") ? "MASTER_PORT" : "PET_MASTER_PORT";
  env.master_port = read_number(lookup, port_name).value_or(0);
  constexpr int kLastPort = 65535;
  if (env.master_port < 0 || env.master_port > kLastPort) {
    throw EnvironmentError(concat("rank environment: ", port_name, " must be from 0 to ", kLastPort,
                                  ", got ", env.master_port));
  }
}

}  // namespace

const char* name_of(RankSource source) {
  switch (source) {
    case RankSource::kFlags:
      return "flags";
    case RankSource::kTrireme:
      return "TRIREME variables";
    case RankSource::kTorchrun:
      return "torchrun variables";
    case RankSource::kOpenMpi:
      return "Open MPI variables";
    case RankSource::kPet:
      return "PET variables";
    case RankSource::kSlurm:
      return "Slurm variables";
    case RankSource::kSingle:
      break;
  }
  return "no launcher";
}

std::optional<std::string> process_variable(const std::string& name) {
  if (name.starts_with("TRIREME_")) {
    std::string value = get_setting(name);
    return value.empty() ? std::nullopt : std::optional(std::move(value));
  }
  const char* value = std::getenv(name.c_str());
  return value && *value ? std::optional<std::string>(value) : std::nullopt;
}

RankEnv detect_rank_env(const RankFlags& flags, const EnvLookup& lookup) {
  RankEnv env = choose(flags, lookup);
  read_master(lookup, env);
  if (const auto run = lookup("TRIREME_RUN_ID")) env.run_id = *run;
  if (env.run_id.empty()) {
    // Every rank must arrive at the same name, so it can only be made from what all of them see.
    if (env.world_size == 1) {
      env.run_id = make_run_id();
    } else if (!env.master_addr.empty()) {
      env.run_id = concat("at-", env.master_addr, "-", env.master_port);
    } else {
      throw EnvironmentError(concat(
          "rank environment: several ranks need a run id, got none with ", place_of(env), " from ",
          origin_of(env), "; set TRIREME_RUN_ID, the same on all ranks and another for every run"));
    }
  }
  return env;
}

std::string describe(const RankEnv& env) {
  std::string text = concat(place_of(env), ", run ", env.run_id, " (from ", name_of(env.source));
  if (!env.evidence.empty()) text += ": " + env.evidence;
  return text + ")";
}

}  // namespace trireme
