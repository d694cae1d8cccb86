// NcclCommunicator, the part that puts collectives on the stream.

#include "core/base/half.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"
#include "distributed/nccl_communicator.h"
#include "distributed/nccl_error.h"

namespace trireme {
namespace {

// A call inside a group, or one that NCCL goes on with by itself.
bool is_accepted(ncclResult_t result) { return result == ncclSuccess || result == ncclInProgress; }

const char* name_of_call(CollectiveKind kind, const void* in, int peer) {
  if (peer >= 0) return in ? "ncclSend" : "ncclRecv";
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return "ncclAllReduce";
    case CollectiveKind::kReduceScatter:
      return "ncclReduceScatter";
    case CollectiveKind::kAllGather:
      return "ncclAllGather";
    default:
      return "ncclBroadcast";
  }
}

}  // namespace

WorkPtr NcclCommunicator::start(Operation operation) {
  connection_->throw_if_failed();
  ++number_;
  operation.description = operation.description.empty()
                              ? describe(operation.shape, number_)
                              : concat("#", number_, " ", operation.description);
  if (operation.peer < 0 && operation.shape.op == ReduceOp::kAverage) {
    operation.average = plan_average(operation.shape.dtype, place_.world_size);
  }
  if (group_) {
    group_->push_back(std::move(operation));
    return group_work_;
  }
  const auto work = std::make_shared<NcclWork>(connection_, place_.device);
  launch({std::move(operation)}, *work);
  watch_.add(work, number_);
  check_launch(*work);
  return work;
}

void NcclCommunicator::run_grouped(const std::function<void()>& calls) {
  require(!group_, "run_grouped", "groups do not nest");
  std::vector<Operation> operations;
  group_ = &operations;
  group_work_ = std::make_shared<NcclWork>(connection_, place_.device);
  const auto work = group_work_;
  try {
    calls();
  } catch (const std::exception&) {
    group_ = nullptr;  // nothing of it has been launched
    group_work_ = nullptr;
    throw;
  }
  group_ = nullptr;
  group_work_ = nullptr;
  if (operations.empty()) return;
  launch(operations, *work);
  watch_.add(work, number_);
  check_launch(*work);
}

// Behind watch_.add: where this waits, and peers do not come, the watch ends it.
void NcclCommunicator::check_launch(const NcclWork& work) {
  cuda::check_launch(work.description.c_str(), {stream_.get(), place_.device});
}

void NcclCommunicator::launch(const std::vector<Operation>& operations, NcclWork& work) {
  const NcclApi& api = connection_->api();
  // Also makes the device the thread's own, which NCCL asks for.
  const cudaStream_t compute = cuda::current_stream(place_.device);
  for (const Operation& operation : operations) {
    for (const void* buffer : {operation.in, static_cast<const void*>(operation.out)}) {
      if (auto owner = buffer ? memory_.owner_of(buffer) : nullptr) {
        work.buffers.push_back(std::move(owner));
      }
    }
  }
  work.description = operations.front().description;
  if (operations.size() > 1) work.description += concat(" to ", operations.back().description);
  work.begin(compute, stream_.get());
  for (const Operation& operation : operations) make_reduction(operation);
  if (operations.size() == 1) {
    const Operation& operation = operations.front();
    connection_->call(name_of_call(operation.shape.kind, operation.in, operation.peer),
                      [&](ncclComm_t comm) { return enqueue(operation, comm); });
  } else {
    connection_->call("ncclGroupEnd", [&](ncclComm_t comm) {
      ncclResult_t result = api.group_start();
      if (!is_accepted(result)) return result;
      for (const Operation& operation : operations) {
        result = enqueue(operation, comm);
        if (!is_accepted(result)) break;
      }
      const ncclResult_t ended = api.group_end();
      return is_accepted(result) ? ended : result;
    });
  }
  for (const Operation& operation : operations) finish_average(operation);
  work.end(stream_.get());
  if (host_) host_->set_progress(number_);
  if (work.is_captured()) {
    add_to_captured_step(operations, work);
  } else {
    for (const Operation& operation : operations) count(1, operation.shape.bytes());
  }
}

void NcclCommunicator::count(int64_t operations, int64_t bytes) {
  const std::lock_guard lock(stats_mutex_);
  stats_.operations += operations;
  stats_.bytes += bytes;
}

// Averages that NCCL cannot do well need an operator of their own, made before the launch.
void NcclCommunicator::make_reduction(const Operation& operation) {
  const DType dtype = operation.shape.dtype;
  auto& made = pre_scaled_[dtype == DType::kBF16 ? 0 : 1];
  if (operation.average.inside_nccl || made) return;
  uint16_t scalar = scalar_bits(dtype, operation.average.before);
  ncclRedOp_t op = ncclSum;
  connection_->call("ncclRedOpCreatePreMulSum", [&](ncclComm_t comm) {
    return connection_->api().red_op_create_pre_mul_sum(&op, &scalar, nccl_type_of(dtype),
                                                        ncclScalarHostImmediate, comm);
  });
  made = op;
}

ncclRedOp_t NcclCommunicator::reduction_of(const Operation& operation) const {
  const CallShape& shape = operation.shape;
  if (shape.op != ReduceOp::kAverage) return nccl_op_of(shape.op, shape.dtype);
  if (operation.average.inside_nccl) return ncclAvg;
  return *pre_scaled_[shape.dtype == DType::kBF16 ? 0 : 1];
}

ncclResult_t NcclCommunicator::enqueue(const Operation& operation, ncclComm_t comm) {
  if (operation.peer >= 0) return enqueue_peer(operation, comm);
  const NcclApi& api = connection_->api();
  const CallShape& shape = operation.shape;
  const auto count = static_cast<size_t>(shape.count);
  const ncclDataType_t type = nccl_type_of(shape.dtype);
  switch (shape.kind) {
    case CollectiveKind::kAllReduce:
      return api.all_reduce(operation.in, operation.out, count, type, reduction_of(operation), comm,
                            stream_.get());
    case CollectiveKind::kReduceScatter:
      return api.reduce_scatter(operation.in, operation.out, count, type, reduction_of(operation),
                                comm, stream_.get());
    case CollectiveKind::kAllGather:
      return api.all_gather(operation.in, operation.out, count, ncclUint8, comm, stream_.get());
    case CollectiveKind::kBroadcast:
      return api.broadcast(operation.in, operation.out, count, ncclUint8, shape.root, comm,
                           stream_.get());
    default:
      return ncclInvalidUsage;
  }
}

ncclResult_t NcclCommunicator::enqueue_peer(const Operation& operation, ncclComm_t comm) {
  const NcclApi& api = connection_->api();
  const auto bytes = static_cast<size_t>(operation.shape.count);
  if (operation.in) {
    return api.send(operation.in, bytes, ncclUint8, operation.peer, comm, stream_.get());
  }
  return api.recv(operation.out, bytes, ncclUint8, operation.peer, comm, stream_.get());
}

void NcclCommunicator::finish_average(const Operation& operation) {
  if (operation.average.after == 1 || operation.shape.count == 0) return;
  const cuda::StreamGuard on_own_stream(stream_);
  scale_buffer()(device(), operation.out, operation.shape.count, operation.shape.dtype,
                 operation.average.after);
}

}  // namespace trireme
