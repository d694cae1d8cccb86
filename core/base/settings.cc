#include "core/base/settings.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "core/base/error.h"

namespace trireme {
namespace {

constexpr AllowedValues one_of(const char* texts) { return {.texts = texts}; }
constexpr AllowedValues from_to(int64_t least, int64_t most) {
  return {.least = least, .most = most};
}

// clang-format off
constexpr Setting kSettings[] = {
    {"TRIREME_LOG_LEVEL", "info", "lowest level that is logged", one_of("debug, info, warning, error")},
    {"TRIREME_NUM_THREADS", "", "threads per rank for CPU kernels; default OMP_NUM_THREADS or all cores", from_to(1, 1 << 16)},
    {"TRIREME_RANK", "", "global rank, set by the launcher"},
    {"TRIREME_WORLD_SIZE", "", "number of ranks, set by the launcher"},
    {"TRIREME_LOCAL_RANK", "", "rank on this node, set by the launcher"},
    {"TRIREME_LOCAL_WORLD_SIZE", "", "ranks on this node, set by the launcher"},
    {"TRIREME_RUN_ID", "", "name of the run; also names its shared memory; set by the launcher"},
    {"TRIREME_RUN_DIR", "", "directory of the run: logs, metrics, checkpoints; set by the launcher"},
    {"TRIREME_DEVICE", "cpu", "device of the ranks; set by the launcher"},
    {"TRIREME_SYNC_DEBUG", "0", "1: wait behind all that is queued on a GPU, so that a fault names its op", one_of("0, 1")},
    {"TRIREME_CUDA_TRACE", "off", "on: each rank writes what its GPU did to trace-rank-N.json in the run directory", one_of("on, off")},
    {"TRIREME_BACKEND", "", "communicator for host memory: shm, mpi, store or local; default chosen from the environment"},
    {"TRIREME_STORE", "", "where ranks of several nodes meet without MPI: tcp:HOST:PORT or file:DIRECTORY; default tcp at MASTER_ADDR:MASTER_PORT"},
    {"TRIREME_ALLOW_SHARED_GPU", "0", "1 lets several ranks use one GPU, for tests: slow, and over loopback only", one_of("0, 1")},
    {"TRIREME_NCCL_MIN_CTAS", "0", "least thread blocks per collective on the GPU; 0: NCCL decides", from_to(0, 64)},
    {"TRIREME_NCCL_MAX_CTAS", "0", "most thread blocks per collective; fewer leave more to the computation; 0: NCCL decides", from_to(0, 64)},
    {"TRIREME_NCCL_CLUSTER_SIZE", "-1", "thread block cluster size, 0 to 8; -1: NCCL decides", from_to(-1, 8)},
    {"TRIREME_NCCL_ALGORITHM", "", "as NCCL_ALGO: Ring, Tree, NVLS; Ring gives the same bits every time"},
    {"TRIREME_NCCL_PROTOCOL", "", "as NCCL_PROTO: Simple, LL, LL128"},
    {"TRIREME_NCCL_NETWORK", "", "network module: Socket, IB"},
    {"TRIREME_NCCL_TRAFFIC_CLASS", "-1", "traffic class of the network; -1: NCCL decides", from_to(-1, 255)},
    {"TRIREME_NCCL_REGISTER", "0", "1: gradient buckets in memory that NCCL registers", one_of("0, 1")},
    {"TRIREME_NCCL_ABORT_SECONDS", "10", "deadline of ending a failed NCCL communicator", from_to(1, 1'000)},
    {"TRIREME_TIMEOUT_SECONDS", "300", "deadline of every blocking phase: rendezvous, collective, store", from_to(1, 1'000'000)},
    {"TRIREME_BUCKET_MB", "25", "gradient bucket size in MiB", from_to(1, 1 << 20)},
    {"TRIREME_CACHE_DIR", "", "directory of what was measured about this machine; default $XDG_CACHE_HOME/trireme or ~/.cache/trireme"},
    {"TRIREME_TUNE", "on", "CUDA: choose algorithms of matmul and convolution by timing; off: take the library's first guess", one_of("on, off")},
    {"TRIREME_ALLOW_TF32", "0", "CUDA: 1 lets f32 matmul and convolution round their operands to TF32", one_of("0, 1")},
    {"TRIREME_DETERMINISTIC", "1", "CUDA: 0 lets the gradients of attention, convolution, batch norm and pooling add in any order, and recurrent layers that cuDNN keeps on the chip take part, which is faster", one_of("0, 1")},
    {"TRIREME_CUDNN_OR_OWN", "fastest", "CUDA: whose kernels compute batch norm, pooling and recurrent layers; fastest: timed for each shape, needs TRIREME_TUNE", one_of("fastest, cudnn, own")},
    {"TRIREME_METRICS", "auto", "metrics over HTTP; launcher: the launcher serves them", one_of("auto, launcher, off")},
    {"TRIREME_METRICS_ADDRESS", "0.0.0.0", "interface on which metrics are served"},
    {"TRIREME_METRICS_PORT", "9480", "port on which metrics are served; 0: any free one", from_to(0, 65535)},
};
// clang-format on

const Setting& find_setting(std::string_view name) {
  for (const Setting& setting : kSettings) {
    if (name == setting.name) return setting;
  }
  fail("settings", "no such setting, got '", name, "'; add it to the table in settings.cc");
}

bool is_in_list(std::string_view text, std::string_view list) {
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(", ", begin), list.size());
    if (list.substr(begin, end - begin) == text) return true;
    begin = end + 2;
  }
  return false;
}

std::string value_of(const Setting& setting) {
  const char* value = std::getenv(setting.name);
  return value && *value ? value : setting.default_value;
}

}  // namespace

std::span<const Setting> all_settings() { return kSettings; }

std::string get_setting(std::string_view name) {
  const Setting& setting = find_setting(name);
  const std::string text = value_of(setting);
  require(!*setting.allowed.texts || is_in_list(text, setting.allowed.texts), "settings", name,
          " must be one of ", setting.allowed.texts, ", got '", text, "'");
  return text;
}

int64_t get_setting_int(std::string_view name) {
  const Setting& setting = find_setting(name);
  const std::string text = value_of(setting);
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  require(error == std::errc{} && stop == end, "settings", name, " must be a whole number, got '",
          text, "'");
  const auto [texts, least, most] = setting.allowed;
  require(least <= value && value <= most, "settings", name, " must be from ", least, " to ", most,
          ", got ", value);
  return value;
}

}  // namespace trireme
