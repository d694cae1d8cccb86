#include "launcher/agent/rank_environment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace trireme {
namespace {

// An outer mpirun's word about the launcher would contradict ours about the rank.
constexpr std::array<std::string_view, 11> kOuter = {"OMPI_COMM_WORLD_RANK",
                                                     "OMPI_COMM_WORLD_SIZE",
                                                     "OMPI_COMM_WORLD_LOCAL_RANK",
                                                     "OMPI_COMM_WORLD_LOCAL_SIZE",
                                                     "OMPI_COMM_WORLD_NODE_RANK",
                                                     "OMPI_UNIVERSE_SIZE",
                                                     "PMIX_RANK",
                                                     "PMIX_NAMESPACE",
                                                     "PMI_RANK",
                                                     "PMI_SIZE",
                                                     "PET_NODE_RANK"};

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value && *value;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> rank_variables(const RunIdentity& run, int rank,
                                                                int threads) {
  const std::string me = std::to_string(rank);
  const std::string all = std::to_string(run.ranks);
  std::vector<std::pair<std::string, std::string>> variables = {
      {"TRIREME_RANK", me},
      {"TRIREME_WORLD_SIZE", all},
      {"TRIREME_LOCAL_RANK", me},
      {"TRIREME_LOCAL_WORLD_SIZE", all},
      {"TRIREME_RUN_ID", run.run_id},
      {"TRIREME_RUN_DIR", run.directory},
      {"TRIREME_DEVICE", run.device},
      {"TRIREME_METRICS", run.serves_metrics ? "launcher" : "off"},
      {"RANK", me},
      {"WORLD_SIZE", all},
      {"LOCAL_RANK", me},
      {"LOCAL_WORLD_SIZE", all},
      {"GROUP_RANK", "0"},
      {"GROUP_WORLD_SIZE", "1"},
      {"ROLE_NAME", "default"},
      {"ROLE_RANK", me},
      {"ROLE_WORLD_SIZE", all},
      {"MASTER_ADDR", "127.0.0.1"},
      {"MASTER_PORT", std::to_string(run.master_port)},
      {"TORCHELASTIC_RUN_ID", run.run_id},
      {"TORCHELASTIC_RESTART_COUNT", "0"},
      {"TORCHELASTIC_MAX_RESTARTS", "0"},
  };
  if (!is_set("OMP_NUM_THREADS") && !is_set("TRIREME_NUM_THREADS")) {
    variables.emplace_back("TRIREME_NUM_THREADS", std::to_string(threads));
    variables.emplace_back("OMP_NUM_THREADS", std::to_string(threads));
  }
  // Waiting threads that spin would take the cores from the communicator's thread.
  if (!is_set("OMP_WAIT_POLICY") && !is_set("GOMP_SPINCOUNT")) {
    variables.emplace_back("OMP_WAIT_POLICY", "passive");
  }
  return variables;
}

std::vector<std::string> merge_environment(
    const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const auto is_ours = [name](const auto& variable) { return variable.first == name; };
    if (std::ranges::find(kOuter, name) != kOuter.end()) continue;
    if (std::ranges::any_of(variables, is_ours)) continue;
    merged.emplace_back(text);
  }
  for (const auto& [name, value] : variables) merged.push_back(name + "=" + value);
  return merged;
}

}  // namespace trireme
