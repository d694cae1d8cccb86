#include "tests/support/fake_nccl.h"

#include <cstring>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/cuda/api.h"
#include "tests/support/fake_gpus.h"
#include "tests/support/fake_nccl_world.h"

namespace trireme::testing {
namespace {

using std::chrono::milliseconds;
using namespace fake_nccl;

Comm& comm_of(ncclComm_t handle) { return **reinterpret_cast<std::shared_ptr<Comm>*>(handle); }
std::shared_ptr<Comm> shared(ncclComm_t handle) {
  return *reinterpret_cast<std::shared_ptr<Comm>*>(handle);
}
ncclComm_t handle_of(std::shared_ptr<Comm> comm) {
  return reinterpret_cast<ncclComm_t>(new std::shared_ptr<Comm>(std::move(comm)));
}

// Requires fake->mutex.
ncclResult_t failure_of(const char* name, int rank) {
  const auto it = fake->failures.find(name);
  if (it == fake->failures.end()) return ncclSuccess;
  const auto [result, whose] = it->second;
  if (whose != FakeNccl::kAnyRank && whose != rank) return ncclSuccess;
  fake->failures.erase(it);
  return result;
}

ncclResult_t enter(const char* name, int rank = FakeNccl::kAnyRank) {
  const std::lock_guard lock(fake->mutex);
  return failure_of(name, rank);
}

thread_local int group_depth = 0;
thread_local std::vector<Call> group;

ncclResult_t start(const char* name, const Call& call) {
  const std::lock_guard lock(fake->mutex);
  if (const auto result = failure_of(name, call.comm->rank)) return result;
  if (group_depth > 0) {
    group.push_back(call);
    return ncclSuccess;
  }
  queue(call);
  call.comm->busy = 2;
  return ncclInProgress;
}

ncclResult_t group_start() {
  if (const auto result = enter("group_start")) return result;
  ++group_depth;
  return ncclSuccess;
}

ncclResult_t group_end() {
  const std::lock_guard lock(fake->mutex);
  --group_depth;
  const std::vector<Call> calls = std::exchange(group, {});
  if (const auto result = failure_of("group_end", FakeNccl::kAnyRank)) return result;
  if (!calls.empty()) {
    FakeGpus::get().log(concat("rank ", calls.front().comm->rank, ": group of ", calls.size()));
  }
  for (const bool sends : {true, false}) {  // what is received in a group may be sent in it too
    for (const Call& call : calls) {
      if ((call.kind == Call::kSend) == sends) queue(call);
    }
  }
  return ncclSuccess;
}

// Requires fake->mutex.
void keep(const ncclConfig_t& config) {
  fake->config = {config, config.netName ? config.netName : "",
                  config.commName ? config.commName : ""};
}

ncclResult_t init(ncclComm_t* handle, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  const std::lock_guard lock(fake->mutex);
  if (const auto result = failure_of("comm_init_rank_config", rank)) return result;
  if (config->blocking != 0) return ncclInvalidArgument;
  keep(*config);
  auto& world = fake->worlds[std::string(id.internal, 32)];
  if (!world) world = std::make_shared<World>();
  world->ranks = ranks;
  const auto comm = std::make_shared<Comm>();
  comm->owner = fake;
  comm->world = world;
  comm->rank = rank;
  comm->hangs = fake->init_hangs.contains(rank);
  if (!comm->hangs) world->joined.insert(rank);
  ++fake->live;
  *handle = handle_of(comm);
  return ncclInProgress;
}

ncclResult_t split(ncclComm_t parent, int color, int key, ncclComm_t* child, ncclConfig_t* config) {
  const std::lock_guard lock(fake->mutex);
  Comm& from = comm_of(parent);
  if (const auto result = failure_of("comm_split", from.rank)) return result;
  keep(*config);
  from.world->splits[++from.splits][from.rank] = {color, key};
  from.busy = 2;
  if (color < 0) return ncclInProgress;
  const auto comm = std::make_shared<Comm>();
  comm->owner = fake;
  comm->rank = key;  // tests use keys 0, 1, ... within a color
  auto& world = fake->worlds[concat("split ", from.world.get(), " ", from.splits, " ", color)];
  if (!world) world = std::make_shared<World>();
  comm->world = world;
  world->joined.insert(key);
  world->ranks = static_cast<int>(world->joined.size());
  ++fake->live;
  *child = handle_of(comm);
  return ncclInProgress;
}

ncclResult_t async_error(ncclComm_t handle, ncclResult_t* state) {
  const std::lock_guard lock(fake->mutex);
  Comm& comm = comm_of(handle);
  if (const auto result = failure_of("comm_get_async_error", comm.rank)) return result;
  const auto error = fake->async_errors.find(comm.rank);
  const bool is_made =
      !comm.hangs && static_cast<int>(comm.world->joined.size()) >= comm.world->ranks;
  if (error != fake->async_errors.end()) {
    *state = error->second;
  } else if (!is_made || comm.busy > 0 || (comm.finalizing && comm.graph_calls > 0)) {
    comm.busy = std::max(0, comm.busy - 1);
    *state = ncclInProgress;
  } else {
    *state = ncclSuccess;
  }
  return ncclSuccess;
}

// As NCCL: kernels leave at once, the communicator when no graph holds any of its collectives.
void end(ncclComm_t handle) {
  const auto comm = shared(handle);
  Fake& mine = *comm->owner;
  std::unique_lock lock(mine.mutex);
  comm->ended = true;
  mine.changed.notify_all();
  mine.changed.wait(lock, [&] { return comm->graph_calls == 0; });
  --mine.live;
  delete reinterpret_cast<std::shared_ptr<Comm>*>(handle);
}

NcclApi table() {
  NcclApi t = {};
  t.get_version = [](int* version) {
    if (const auto result = enter("get_version")) return result;
    int gpu = 0;
    cuda::api().get_device(&gpu);
    const std::lock_guard lock(fake->mutex);
    const auto own = fake->versions.find(gpu);
    *version = own == fake->versions.end() ? NCCL_VERSION_CODE : own->second;
    return ncclSuccess;
  };
  t.get_error_string = [](ncclResult_t result) {
    return result == ncclRemoteError ? "remote process exited" : "fake error";
  };
  t.get_last_error = [](ncclComm_t) { return ""; };
  t.get_unique_id = [](ncclUniqueId* id) {
    const std::lock_guard lock(fake->mutex);
    if (const auto result = failure_of("get_unique_id", FakeNccl::kAnyRank)) return result;
    *id = {};
    std::strcpy(id->internal, std::to_string(fake->next_id++).c_str());
    return ncclSuccess;
  };
  t.comm_init_rank_config = init;
  t.comm_split = split;
  t.comm_count = [](ncclComm_t comm, int* count) {
    const std::lock_guard lock(fake->mutex);
    *count = comm_of(comm).world->ranks;
    return failure_of("comm_count", comm_of(comm).rank);
  };
  t.comm_user_rank = [](ncclComm_t comm, int* rank) {
    const std::lock_guard lock(fake->mutex);
    *rank = comm_of(comm).rank;
    return failure_of("comm_user_rank", *rank);
  };
  t.comm_get_async_error = async_error;
  t.comm_finalize = [](ncclComm_t comm) {
    const std::lock_guard lock(fake->mutex);
    comm_of(comm).busy = 2;
    comm_of(comm).finalizing = true;
    const auto result = failure_of("comm_finalize", comm_of(comm).rank);
    return result ? result : ncclInProgress;
  };
  t.comm_destroy = [](ncclComm_t comm) {
    const auto result = enter("comm_destroy", comm_of(comm).rank);
    end(comm);
    return result;
  };
  t.comm_abort = [](ncclComm_t comm) {
    const auto result = enter("comm_abort", comm_of(comm).rank);
    {
      Fake& mine = *comm_of(comm).owner;
      std::unique_lock lock(mine.mutex);
      ++mine.aborts;
      mine.changed.wait(lock, [&] { return !mine.abort_hangs; });
    }
    end(comm);
    return result;
  };
  t.group_start = group_start;
  t.group_end = group_end;
  t.all_reduce = [](const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op,
                    ncclComm_t comm, cudaStream_t stream) {
    return start("all_reduce",
                 {Call::kAllReduce, in, out, count, type, op, 0, shared(comm), stream});
  };
  t.reduce_scatter = [](const void* in, void* out, size_t count, ncclDataType_t type,
                        ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
    return start("reduce_scatter",
                 {Call::kReduceScatter, in, out, count, type, op, 0, shared(comm), stream});
  };
  t.all_gather = [](const void* in, void* out, size_t count, ncclDataType_t type, ncclComm_t comm,
                    cudaStream_t stream) {
    return start("all_gather",
                 {Call::kAllGather, in, out, count, type, ncclSum, 0, shared(comm), stream});
  };
  t.broadcast = [](const void* in, void* out, size_t count, ncclDataType_t type, int root,
                   ncclComm_t comm, cudaStream_t stream) {
    return start("broadcast",
                 {Call::kBroadcast, in, out, count, type, ncclSum, root, shared(comm), stream});
  };
  t.send = [](const void* in, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
              cudaStream_t stream) {
    return start("send",
                 {Call::kSend, in, nullptr, count, type, ncclSum, peer, shared(comm), stream});
  };
  t.recv = [](void* out, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
              cudaStream_t stream) {
    return start("recv",
                 {Call::kRecv, nullptr, out, count, type, ncclSum, peer, shared(comm), stream});
  };
  t.red_op_create_pre_mul_sum = [](ncclRedOp_t* op, void* scalar, ncclDataType_t type,
                                   ncclScalarResidence_t, ncclComm_t comm) {
    const std::lock_guard lock(fake->mutex);
    if (const auto result = failure_of("red_op_create_pre_mul_sum", comm_of(comm).rank)) {
      return result;
    }
    *op = static_cast<ncclRedOp_t>(ncclNumOps + fake->pre_scaled.size());
    uint16_t bits = 0;
    std::memcpy(&bits, scalar, sizeof bits);
    fake->pre_scaled[*op] = type == ncclBfloat16 ? static_cast<float>(BFloat16::from_bits(bits))
                                                 : static_cast<float>(Float16::from_bits(bits));
    return ncclSuccess;
  };
  t.red_op_destroy = [](ncclRedOp_t, ncclComm_t comm) {
    return enter("red_op_destroy", comm_of(comm).rank);
  };
  t.mem_alloc = [](void** data, size_t bytes) {
    const std::lock_guard lock(fake->mutex);
    if (const auto result = failure_of("mem_alloc", FakeNccl::kAnyRank)) return result;
    *data = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    fake->memory.insert(*data);
    return ncclSuccess;
  };
  t.mem_free = [](void* data) {
    const std::lock_guard lock(fake->mutex);
    fake->memory.erase(data);
    std::free(data);
    return failure_of("mem_free", FakeNccl::kAnyRank);
  };
  t.comm_register = [](const ncclComm_t comm, void* data, size_t, void** handle) {
    const std::lock_guard lock(fake->mutex);
    if (const auto result = failure_of("comm_register", comm_of(comm).rank)) return result;
    *handle = data;
    fake->registrations.insert(data);
    return ncclSuccess;
  };
  t.comm_deregister = [](const ncclComm_t comm, void* handle) {
    const std::lock_guard lock(fake->mutex);
    fake->registrations.erase(handle);
    return failure_of("comm_deregister", comm_of(comm).rank);
  };
  return t;
}

const NcclApi& shared_table() {
  static const NcclApi t = table();
  return t;
}

// Set before the table is in force.
const NcclApi& begin() {
  FakeGpus::get().reset();
  fake = new Fake;  // what an abort left behind may still look at the last one
  return shared_table();
}

}  // namespace

FakeNccl::FakeNccl() : in_force_(begin()) {}
FakeNccl::~FakeNccl() { let_aborts_return(); }

void FakeNccl::fail_next(const std::string& entry_point, ncclResult_t result, int rank) {
  const std::lock_guard lock(fake->mutex);
  fake->failures[entry_point] = {result, rank};
}
void FakeNccl::hang_in_init(int rank) { fake->init_hangs.insert(rank); }
void FakeNccl::hang_in_collective(int rank, int number) { fake->hangs.insert({rank, number}); }
void FakeNccl::delay_collective(int rank, int number, milliseconds delay) {
  fake->delays[{rank, number}] = delay;
}
void FakeNccl::set_async_error(int rank, ncclResult_t error) {
  const std::lock_guard lock(fake->mutex);
  fake->async_errors[rank] = error;
}
void FakeNccl::hang_in_abort() { fake->abort_hangs = true; }
void FakeNccl::let_aborts_return() {
  const std::lock_guard lock(fake->mutex);
  fake->abort_hangs = false;
  fake->changed.notify_all();
}
void FakeNccl::set_version(int gpu, int version) { fake->versions[gpu] = version; }
int FakeNccl::live_communicators() const {
  const std::lock_guard lock(fake->mutex);
  return fake->live;
}
int FakeNccl::aborts() const {
  const std::lock_guard lock(fake->mutex);
  return fake->aborts;
}
FakeNccl::Config FakeNccl::config() const {
  const std::lock_guard lock(fake->mutex);
  return fake->config;
}
bool FakeNccl::is_pending(const std::string& entry_point) const {
  const std::lock_guard lock(fake->mutex);
  return fake->failures.contains(entry_point);
}
int FakeNccl::live_registrations() const {
  const std::lock_guard lock(fake->mutex);
  return static_cast<int>(fake->registrations.size());
}
int FakeNccl::live_memory() const {
  const std::lock_guard lock(fake->mutex);
  return static_cast<int>(fake->memory.size());
}

}  // namespace trireme::testing
