#include "distributed/transport_communicator.h"

#include <cstring>

#include "distributed/buffer_checks.h"
#include "distributed/page_memory.h"

namespace trireme {
namespace {

class DoneWork final : public Work {
 public:
  void wait() override {}
  bool is_done() const override { return true; }
};

}  // namespace

TransportCommunicator::TransportCommunicator(std::unique_ptr<Transport> transport, int rank,
                                             int world_size, const CommOptions& options)
    : rank_(rank),
      world_size_(world_size),
      transport_(std::move(transport)),
      collectives_(*transport_),
      transfers_(collectives_, options.timeout) {}

TransportCommunicator::~TransportCommunicator() = default;

WorkPtr TransportCommunicator::start(const Collective& call) {
  if (world_size_ > 1) return collectives_.start(call);
  static const WorkPtr done = std::make_shared<DoneWork>();
  collectives_.throw_if_failed();
  if (call.in && call.in != call.out && call.shape.count > 0) {
    std::memmove(call.out, call.in, call.shape.bytes());
  }
  collectives_.count_operation(call.shape.bytes());
  return done;
}

WorkPtr TransportCommunicator::all_reduce(void* data, int64_t count, DType dtype, ReduceOp op) {
  check_reduction("all_reduce", data, count, dtype, op);
  return start({.shape = {CollectiveKind::kAllReduce, op, dtype, 0, count}, .out = data});
}

WorkPtr TransportCommunicator::reduce_scatter(const void* in, void* out, int64_t count, DType dtype,
                                              ReduceOp op) {
  check_reduction("reduce_scatter", in, count, dtype, op);
  check_buffer("reduce_scatter", out, count);
  return start(
      {.shape = {CollectiveKind::kReduceScatter, op, dtype, 0, count}, .in = in, .out = out});
}

WorkPtr TransportCommunicator::all_gather(const void* in, void* out, int64_t bytes) {
  check_buffer("all_gather", in, bytes);
  check_buffer("all_gather", out, bytes);
  return start(
      {.shape = {.kind = CollectiveKind::kAllGather, .count = bytes}, .in = in, .out = out});
}

WorkPtr TransportCommunicator::broadcast(void* data, int64_t bytes, int root) {
  check_buffer("broadcast", data, bytes);
  require(root >= 0 && root < world_size_, "broadcast", "root must be a rank of 0 to ",
          world_size_ - 1, ", got ", root);
  return start(
      {.shape = {.kind = CollectiveKind::kBroadcast, .root = root, .count = bytes}, .out = data});
}

void TransportCommunicator::barrier() {
  start({.shape = {.kind = CollectiveKind::kBarrier}})->wait();
}

std::shared_ptr<void> TransportCommunicator::allocate(int64_t bytes) {
  require(bytes >= 0, "allocate", "size must not be negative, got ", bytes);
  if (world_size_ == 1) return allocate_pages(bytes);
  std::shared_ptr<void> memory;
  start({.shape = {.kind = CollectiveKind::kAllocate, .count = bytes}, .memory = &memory})->wait();
  return memory;
}

void TransportCommunicator::check_peer(const char* op, int peer) const {
  require(peer >= 0 && peer < world_size_ && peer != rank_, op,
          "peer must be another rank of 0 to ", world_size_ - 1, ", got ", peer, " on rank ",
          rank_);
}

WorkPtr TransportCommunicator::send(const void* data, int64_t bytes, int to) {
  check_buffer("send", data, bytes);
  check_peer("send", to);
  collectives_.throw_if_failed();
  return transfers_.start(transport_->start_send(data, bytes, to), 2 * to, bytes);
}

WorkPtr TransportCommunicator::recv(void* data, int64_t bytes, int from) {
  check_buffer("recv", data, bytes);
  check_peer("recv", from);
  collectives_.throw_if_failed();
  return transfers_.start(transport_->start_recv(data, bytes, from), 2 * from + 1, bytes);
}

void TransportCommunicator::check() {
  collectives_.throw_if_failed();
  if (world_size_ > 1) transport_->check();
}

void TransportCommunicator::abort(const std::string& reason) noexcept {
  transport_->abort(reason);
  try {
    collectives_.set_failed(std::make_exception_ptr(CommError(
        CommError::Kind::kAborted, concat("communicator: aborted by rank ", rank_, ": ", reason))));
  } catch (...) {
    // Out of memory: the transport's own flag still ends every operation.
  }
}

}  // namespace trireme
