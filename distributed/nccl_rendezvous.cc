#include "distributed/nccl_rendezvous.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "core/cuda/device.h"
#include "distributed/control_channel.h"
#include "distributed/host_name.h"
#include "distributed/nccl_communicator.h"
#include "distributed/nccl_error.h"
#include "distributed/replica_check.h"

namespace trireme {
namespace {

/// What a rank says about itself. Texts hold no line break.
struct Introduction {
  std::string host, process, gpu;
};

Introduction introduce(int device) {
  return {host_name(), std::to_string(getpid()), cuda::device_info(device).uuid};
}

std::vector<Introduction> introduce_all(const Introduction& mine, Communicator& host) {
  std::vector<Introduction> all;
  for (const std::string& text :
       gather_texts(mine.host + "\n" + mine.process + "\n" + mine.gpu, host)) {
    const size_t first = text.find('\n'), second = text.find('\n', first + 1);
    all.push_back({text.substr(0, first), text.substr(first + 1, second - first - 1),
                   text.substr(second + 1)});
  }
  return all;
}

std::string join(const std::vector<size_t>& ranks) {
  std::string text;
  for (const size_t r : ranks) text += concat(text.empty() ? "" : ", ", r);
  return text;
}

// A GPU's UUID says enough: no two machines have the same.
void refuse_shared_gpus(const std::vector<Introduction>& ranks, bool allowed) {
  std::map<std::string, std::vector<size_t>> ranks_of;
  for (size_t r = 0; r < ranks.size(); ++r) ranks_of[ranks[r].gpu].push_back(r);
  for (const auto& [gpu, sharing] : ranks_of) {
    if (sharing.size() == 1) continue;
    const Introduction& first = ranks[sharing.front()];
    const bool one_process = std::any_of(sharing.begin() + 1, sharing.end(), [&](size_t r) {
      return ranks[r].host == first.host && ranks[r].process == first.process;
    });
    if (allowed && !one_process) continue;
    const std::string what =
        concat("nccl: ranks ", join(sharing), " on ", first.host, " share one GPU, ", gpu, "; ");
    throw CommError(
        CommError::Kind::kMismatch,
        one_process && allowed
            ? what + "ranks that are threads of one process need a GPU each, start processes"
            : what +
                  "start no more ranks on a node than it has GPUs, or give each rank its own "
                  "with CUDA_VISIBLE_DEVICES (TRIREME_ALLOW_SHARED_GPU=1 allows it for tests)");
  }
}

ncclUniqueId share_unique_id(const NcclApi& api, Communicator& host) {
  ncclUniqueId id = {};
  std::string why;
  if (host.rank() == 0) {
    const ncclResult_t result = api.get_unique_id(&id);
    if (result != ncclSuccess) why = nccl_error(api, "ncclGetUniqueId", result).what();
  }
  // The others must not wait for an id that will not come.
  why = broadcast_text(why, host);
  if (!why.empty()) throw CommError(CommError::Kind::kSystem, why);
  host.broadcast(&id, sizeof id, 0)->wait();
  return id;
}

std::shared_ptr<NcclConnection> meet(Communicator& host, int device, const NcclOptions& options,
                                     const CommOptions& comm_options) {
  const std::string run = broadcast_text(concat(host_name(), "-", getpid()), host);
  export_nccl_environment(options, run, host.rank());
  const NcclApi& api = nccl_api();
  require_same_on_all_ranks("nccl",
                            {concat("NCCL ", nccl_version_text(checked_nccl_version(api))),
                             concat("options ", describe(options))},
                            host);
  refuse_shared_gpus(introduce_all(introduce(device), host), options.allow_shared_gpu);
  const NcclPlace place{host.rank(), host.world_size(), device};
  const ncclUniqueId id = share_unique_id(api, host);
  auto connection = std::make_shared<NcclConnection>(place, options, comm_options.timeout);
  cuda::make_current(device);
  connection->connect("ncclCommInitRankConfig", [&](ncclComm_t* comm, ncclConfig_t* config) {
    return api.comm_init_rank_config(comm, place.world_size, id, place.rank, config);
  });
  return connection;
}

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host, int device,
                                                     const NcclOptions& options,
                                                     const CommOptions& comm_options) {
  try {
    auto connection = meet(*host, device, options, comm_options);
    return std::make_unique<NcclCommunicator>(std::move(connection), std::move(host), options);
  } catch (const std::exception& error) {
    // The others must not wait for this rank. Where they know the reason already, this is no news.
    if (host) host->abort(error.what());
    throw;
  }
}

}  // namespace trireme
