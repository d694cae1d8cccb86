#include "core/base/settings.h"

#include <charconv>
#include <cstdlib>

#include "core/base/error.h"

namespace trireme {
namespace {

// clang-format off
constexpr Setting kSettings[] = {
    {"TRIREME_LOG_LEVEL", "info", "debug, info, warning or error"},
    {"TRIREME_NUM_THREADS", "", "threads per rank for CPU kernels; default OMP_NUM_THREADS or all cores"},
    {"TRIREME_RANK", "", "global rank, set by the launcher"},
    {"TRIREME_WORLD_SIZE", "", "number of ranks, set by the launcher"},
    {"TRIREME_LOCAL_RANK", "", "rank on this node, set by the launcher"},
    {"TRIREME_LOCAL_WORLD_SIZE", "", "ranks on this node, set by the launcher"},
    {"TRIREME_RUN_ID", "", "name of the run; also names its shared memory; set by the launcher"},
    {"TRIREME_RUN_DIR", "", "directory of the run: logs, metrics, checkpoints; set by the launcher"},
    {"TRIREME_DEVICE", "cpu", "device of the ranks; set by the launcher"},
    {"TRIREME_BACKEND", "", "communicator: shm, mpi or local; default chosen from the environment"},
    {"TRIREME_TIMEOUT_SECONDS", "300", "deadline of every blocking phase: rendezvous, collective, store"},
    {"TRIREME_BUCKET_MB", "25", "gradient bucket size in MiB"},
    {"TRIREME_METRICS", "auto", "metrics over HTTP: auto, launcher (the launcher serves them) or off"},
    {"TRIREME_METRICS_ADDRESS", "0.0.0.0", "interface on which metrics are served"},
    {"TRIREME_METRICS_PORT", "9480", "port on which metrics are served; 0: any free one"},
};
// clang-format on

const Setting& find_setting(std::string_view name) {
  for (const Setting& setting : kSettings) {
    if (name == setting.name) return setting;
  }
  fail("settings", "no such setting, got '", name, "'; add it to the table in settings.cc");
}

}  // namespace

std::span<const Setting> all_settings() { return kSettings; }

std::string get_setting(std::string_view name) {
  const Setting& setting = find_setting(name);
  const char* value = std::getenv(setting.name);
  return value && *value ? value : setting.default_value;
}

int64_t get_setting_int(std::string_view name) {
  const std::string text = get_setting(name);
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  require(error == std::errc{} && stop == end, "settings", name, " must be a whole number, got '",
          text, "'");
  return value;
}

}  // namespace trireme
