#include "distributed/make_communicator.h"

#include "core/base/config.h"
#include "core/base/log.h"
#include "core/base/settings.h"
#include "distributed/device_communicator.h"
#include "distributed/env.h"
#include "distributed/local_communicator.h"
#include "distributed/mpi_communicator.h"
#include "distributed/shm_communicator.h"
#include "distributed/store_communicator.h"

namespace trireme {
namespace {

enum class Backend { kLocal, kShm, kMpi, kStore };

bool is_under_mpi() {
  return kHasMpi && (process_variable("OMPI_COMM_WORLD_SIZE") || process_variable("PMIX_RANK"));
}

Backend choose_backend(const CommunicatorOptions& options) {
  const std::string wish =
      options.backend.empty() ? get_setting("TRIREME_BACKEND") : options.backend;
  const bool is_auto = wish.empty() || wish == "auto";
  require(is_auto || wish == "local" || wish == "shm" || wish == "mpi" || wish == "store",
          "make_communicator", "backend must be auto, local, shm, mpi or store, got '", wish,
          "' (ranks on GPUs use nccl by themselves)");
  const bool one_node = options.local_world_size == options.world_size;
  require(wish != "local" || options.world_size == 1, "make_communicator",
          "local ranks are threads of one process, got world size ", options.world_size,
          "; use shm or mpi");
  require(wish != "shm" || one_node, "make_communicator", "shm needs all ranks on one node, got ",
          options.local_world_size, " of ", options.world_size, " here; use mpi");
  if (wish == "local" || (is_auto && options.world_size == 1)) return Backend::kLocal;
  if (wish == "shm" || (is_auto && one_node)) return Backend::kShm;
  // What the hosts of GPU ranks tell each other is little, so a store will do where there is no
  // MPI.
  const bool little = !options.device.is_cpu();
  if (wish == "store" || (is_auto && little && !is_under_mpi())) return Backend::kStore;
  require(kHasMpi, "make_communicator",
          "this build has no MPI, which CPU ranks on several nodes need; configure with "
          "TRIREME_MPI=ON");
  return Backend::kMpi;
}

std::chrono::seconds default_timeout() {
  return std::chrono::seconds(get_setting_int("TRIREME_TIMEOUT_SECONDS"));
}

std::unique_ptr<Communicator> make_host(const CommunicatorOptions& options,
                                        const CommOptions& comm_options) {
  switch (choose_backend(options)) {
    case Backend::kLocal:
      break;
    case Backend::kShm:
      require(!options.run_id.empty() || options.world_size == 1, "make_communicator",
              "shm needs a run id that all ranks share, got none; detect_rank_env finds one");
      return make_shm_communicator(options.run_id, options.rank, options.world_size, comm_options);
    case Backend::kMpi:
      if constexpr (kHasMpi) {
        return make_mpi_communicator(options.rank, options.world_size, comm_options);
      }
      break;
    case Backend::kStore:
      return make_store_communicator(make_store({.place = get_setting("TRIREME_STORE"),
                                                 .master_addr = options.master_addr,
                                                 .master_port = options.master_port,
                                                 .run_id = options.run_id,
                                                 .rank = options.rank,
                                                 .timeout = comm_options.timeout}),
                                     options.rank, options.world_size, comm_options);
  }
  return std::move(make_local_communicators(1, comm_options).front());
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(const CommunicatorOptions& options) {
  require(options.world_size >= 1 && options.rank >= 0 && options.rank < options.world_size,
          "make_communicator", "rank must be within the world size, got rank ", options.rank,
          " of ", options.world_size);
  CommOptions comm_options;
  comm_options.timeout = options.timeout ? *options.timeout : default_timeout();
  auto communicator = make_host(options, comm_options);
  const std::string host = communicator->backend();
  if (!options.device.is_cpu()) {
    const NcclOptions nccl = options.nccl ? *options.nccl : nccl_options_from_settings();
    communicator =
        make_device_communicator(std::move(communicator), options.device, nccl, comm_options);
    if (options.rank == 0) log_info("nccl options: ", describe(nccl));
  }
  if (options.rank == 0) {
    log_info("communicator backend=", communicator->backend(), " ranks=", options.world_size,
             options.device.is_cpu() ? "" : " host=" + host);
  }
  return communicator;
}

}  // namespace trireme
