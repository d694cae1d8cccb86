#include "launcher/rank_setup.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/base/device_tag.h"
#include "core/base/parallel_for.h"
#include "core/base/settings.h"
#include "core/cuda/activity_trace.h"
#include "core/cuda/device.h"
#include "core/cuda/nvtx.h"
#include "distributed/control_channel.h"
#include "distributed/device_of_rank.h"
#include "distributed/run_id.h"

namespace trireme {
namespace {

int cores_of_this_process() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

void choose_num_threads(const RankEnv& env) {
  if (!get_setting("TRIREME_NUM_THREADS").empty()) {
    set_num_threads(static_cast<int>(get_setting_int("TRIREME_NUM_THREADS")));
  } else if (!process_variable("OMP_NUM_THREADS")) {
    // A launcher that binds ranks to cores has divided them already; then only these are ours.
    const int cores = cores_of_this_process();
    const int all = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
    set_num_threads(std::max(1, cores == all ? cores / env.local_world_size : cores));
  }
}

int choose_loader_threads(int64_t wanted, Device device) {
  if (wanted > 0) return static_cast<int>(wanted);
  return std::max(1, device.is_cpu() ? num_threads() / 8 : num_threads() - 1);
}

Device choose_device(const std::string& text, const RankEnv& env) {
  const Device device = device_of_rank(text, env);
  if constexpr (kHasCuda) {
    if (!device.is_cpu()) cuda::install_nvtx_ranges();
  }
  return device;
}

std::shared_ptr<const void> start_trace(const std::string& directory, Device device, int rank) {
  if (device.is_cpu() || get_setting("TRIREME_CUDA_TRACE") == "off") return nullptr;
  if constexpr (kHasCuda) {
    const std::string path = concat(directory, "/trace-rank-", rank, ".json");
    return std::make_shared<const cuda::ActivityTrace>(path, rank);
  }
  return nullptr;
}

std::string agree_on_run_name(const RankEnv& env, Communicator& communicator) {
  const bool is_named =
      env.source == RankSource::kTrireme || !get_setting("TRIREME_RUN_ID").empty();
  return broadcast_text(is_named ? env.run_id : make_run_id(), communicator);
}

std::string prepare_run_directory(const std::string& out, const std::string& run_id,
                                  Communicator& communicator) {
  std::string directory = out.empty() ? get_setting("TRIREME_RUN_DIR") : out;
  if (directory.empty()) directory = "runs/" + run_id;
  if (communicator.rank() == 0) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
      throw IoError(concat("run directory: cannot create ", directory, ", ", error.message(),
                           "; choose another with --out"));
    }
  }
  return broadcast_text(directory, communicator);
}

}  // namespace trireme
