#include "distributed/nccl_communicator.h"

#include <chrono>

#include "core/base/log.h"
#include "core/cuda/device.h"
#include "distributed/buffer_checks.h"
#include "distributed/nccl_error.h"

namespace trireme {

NcclCommunicator::NcclCommunicator(std::shared_ptr<NcclConnection> connection,
                                   std::unique_ptr<Communicator> host, const NcclOptions& options)
    : place_(connection->place()),
      options_(options),
      host_(std::move(host)),
      connection_(std::move(connection)),
      stream_(place_.device, cuda::Priority::kHigh),
      memory_(connection_, options.registered_buffers),
      watch_(*connection_, options_, host_.get()) {}

NcclCommunicator::~NcclCommunicator() {
  connection_->set_ending(true);
  watch_.stop();
  connection_->end_graphs();  // they refer to this
  const bool ended = connection_->abort();
  connection_->set_ending(false);
  if (ended) return;
  log_error("nccl: ", describe(place_), ": the abort hung and was left behind");
}

Communicator& NcclCommunicator::host() {
  require(host_ != nullptr, "nccl",
          "a communicator made by split has no host side; use the one it was split from");
  return *host_;
}

WorkPtr NcclCommunicator::all_reduce(void* data, int64_t count, DType dtype, ReduceOp op) {
  check_reduction("all_reduce", data, count, dtype, op);
  return start({.shape = {CollectiveKind::kAllReduce, op, dtype, 0, count},
                .description = {},
                .in = data,
                .out = data});
}

WorkPtr NcclCommunicator::reduce_scatter(const void* in, void* out, int64_t count, DType dtype,
                                         ReduceOp op) {
  check_reduction("reduce_scatter", in, count, dtype, op);
  check_buffer("reduce_scatter", out, count);
  return start({.shape = {CollectiveKind::kReduceScatter, op, dtype, 0, count},
                .description = {},
                .in = in,
                .out = out});
}

WorkPtr NcclCommunicator::all_gather(const void* in, void* out, int64_t bytes) {
  check_buffer("all_gather", in, bytes);
  check_buffer("all_gather", out, bytes);
  return start({.shape = {.kind = CollectiveKind::kAllGather, .count = bytes},
                .description = {},
                .in = in,
                .out = out});
}

WorkPtr NcclCommunicator::broadcast(void* data, int64_t bytes, int root) {
  check_buffer("broadcast", data, bytes);
  require(root >= 0 && root < place_.world_size, "broadcast", "root must be a rank of 0 to ",
          place_.world_size - 1, ", got ", root);
  return start({.shape = {.kind = CollectiveKind::kBroadcast, .root = root, .count = bytes},
                .description = {},
                .in = data,
                .out = data});
}

void NcclCommunicator::check_peer(const char* op, int peer) const {
  require(peer >= 0 && peer < place_.world_size && peer != place_.rank, op,
          "peer must be another rank of 0 to ", place_.world_size - 1, ", got ", peer, " on rank ",
          place_.rank);
}

WorkPtr NcclCommunicator::send(const void* data, int64_t bytes, int to) {
  check_buffer("send", data, bytes);
  check_peer("send", to);
  return start({.shape = {.kind = CollectiveKind::kBroadcast, .count = bytes},
                .description = concat("send (", bytes, " bytes to rank ", to, ")"),
                .in = data,
                .peer = to});
}

WorkPtr NcclCommunicator::recv(void* data, int64_t bytes, int from) {
  check_buffer("recv", data, bytes);
  check_peer("recv", from);
  return start({.shape = {.kind = CollectiveKind::kBroadcast, .count = bytes},
                .description = concat("recv (", bytes, " bytes from rank ", from, ")"),
                .out = data,
                .peer = from});
}

void NcclCommunicator::barrier() {
  require(!group_, "barrier", "cannot be part of a group");
  const auto begin = std::chrono::steady_clock::now();
  watch_.wait_until_idle();
  host().barrier();
  const std::lock_guard lock(stats_mutex_);
  stats_.waited_seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void NcclCommunicator::abort(const std::string& reason) noexcept {
  try {
    throw CommError(CommError::Kind::kAborted,
                    concat("communicator: aborted by rank ", place_.rank, ": ", reason));
  } catch (...) {
    connection_->set_failed(std::current_exception());
    watch_.ask_to_fail(std::current_exception());
  }
  if (host_) host_->abort(reason);
}

void NcclCommunicator::close() {
  barrier();
  watch_.stop();
  const NcclApi& api = connection_->api();
  for (const auto& op : pre_scaled_) {
    if (!op) continue;
    connection_->call("ncclRedOpDestroy",
                      [&](ncclComm_t comm) { return api.red_op_destroy(*op, comm); });
  }
  connection_->close();
  host().close();
}

CommStats NcclCommunicator::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

std::unique_ptr<NcclCommunicator> NcclCommunicator::split(int color, int key) {
  require(!group_, "split", "cannot be part of a group");
  const auto split_from = [&, &api = connection_->api()](ncclComm_t* child, ncclConfig_t* config) {
    connection_->call("ncclCommSplit", [&](ncclComm_t comm) {
      return api.comm_split(comm, color < 0 ? NCCL_SPLIT_NOCOLOR : color, key, child, config);
    });
  };
  if (color < 0) {
    ncclComm_t none = nullptr;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    split_from(&none, &config);
    return nullptr;
  }
  // The place in the new communicator is known once it is there.
  auto child = std::make_shared<NcclConnection>(place_, options_, connection_->timeout());
  child->connect("ncclCommSplit", [&](ncclComm_t* comm, ncclConfig_t* config) {
    split_from(comm, config);
    return ncclInProgress;
  });
  child->learn_place();
  return std::make_unique<NcclCommunicator>(std::move(child), nullptr, options_);
}

}  // namespace trireme
