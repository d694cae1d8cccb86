#include "distributed/nccl_options.h"

#include <cstdlib>

#include "core/base/error.h"
#include "core/base/settings.h"

namespace trireme {
namespace {

bool is_on(const char* setting) { return get_setting(setting) == "1"; }

int int_of(const char* setting) { return static_cast<int>(get_setting_int(setting)); }

void export_choice(const char* variable, const std::string& value, const char* setting) {
  if (value.empty()) return;
  const char* present = std::getenv(variable);
  require(!present || value == present, "nccl", variable, " is '", present ? present : "", "' but ",
          setting, " asks for '", value, "'; set only one of them");
  setenv(variable, value.c_str(), 1);
}

}  // namespace

NcclOptions nccl_options_from_settings() {
  NcclOptions options;
  options.min_ctas = int_of("TRIREME_NCCL_MIN_CTAS");
  options.max_ctas = int_of("TRIREME_NCCL_MAX_CTAS");
  options.cga_cluster_size = int_of("TRIREME_NCCL_CLUSTER_SIZE");
  options.traffic_class = int_of("TRIREME_NCCL_TRAFFIC_CLASS");
  options.network = get_setting("TRIREME_NCCL_NETWORK");
  options.algorithm = get_setting("TRIREME_NCCL_ALGORITHM");
  options.protocol = get_setting("TRIREME_NCCL_PROTOCOL");
  options.registered_buffers = is_on("TRIREME_NCCL_REGISTER");
  options.allow_shared_gpu = is_on("TRIREME_ALLOW_SHARED_GPU");
  options.abort_timeout = std::chrono::seconds(get_setting_int("TRIREME_NCCL_ABORT_SECONDS"));
  return options;
}

std::string describe(const NcclOptions& o) {
  std::string text;
  const auto add = [&text](const char* name, const auto& value, bool is_set) {
    if (is_set) text += concat(text.empty() ? "" : " ", name, "=", value);
  };
  add("min_ctas", o.min_ctas, o.min_ctas > 0);
  add("max_ctas", o.max_ctas, o.max_ctas > 0);
  add("cluster_size", o.cga_cluster_size, o.cga_cluster_size >= 0);
  add("traffic_class", o.traffic_class, o.traffic_class >= 0);
  add("network", o.network, !o.network.empty());
  add("algorithm", o.algorithm, !o.algorithm.empty());
  add("protocol", o.protocol, !o.protocol.empty());
  add("registered_buffers", "on", o.registered_buffers);
  add("shared_gpu", "allowed", o.allow_shared_gpu);
  return text.empty() ? "defaults" : text;
}

void export_nccl_environment(const NcclOptions& options, const std::string& run, int rank) {
  export_choice("NCCL_ALGO", options.algorithm, "TRIREME_NCCL_ALGORITHM");
  export_choice("NCCL_PROTO", options.protocol, "TRIREME_NCCL_PROTOCOL");
  if (!options.allow_shared_gpu) return;
  // NCCL refuses two ranks with the same host and the same GPU. A host of its own for each makes
  // it move everything over sockets, which works without any peer access.
  setenv("NCCL_HOSTID", concat(run, "-", rank).c_str(), 0);
  setenv("NCCL_NET", "Socket", 0);
  setenv("NCCL_SOCKET_IFNAME", "lo", 0);
  // With "several nodes" NCCL would look for NVLink between them, and for NVLink multicast.
  setenv("NCCL_MNNVL_ENABLE", "0", 0);
  setenv("NCCL_NVLS_ENABLE", "0", 0);
  // All ranks' kernels must fit on the GPU at once, or they wait for each other for ever.
  setenv("NCCL_MAX_CTAS", "2", 0);
}

}  // namespace trireme
