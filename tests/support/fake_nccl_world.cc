#include "tests/support/fake_nccl_world.h"

#include <cstring>
#include <type_traits>

#include "core/base/dtype.h"
#include "core/base/error.h"
#include "core/base/half.h"
#include "tests/support/fake_gpus.h"

namespace trireme::testing::fake_nccl {

Fake* fake = nullptr;

namespace {

DType dtype_of(ncclDataType_t type) {
  switch (type) {
    case ncclFloat64:
      return DType::kF64;
    case ncclFloat32:
      return DType::kF32;
    case ncclBfloat16:
      return DType::kBF16;
    case ncclFloat16:
      return DType::kF16;
    case ncclInt64:
      return DType::kI64;
    case ncclInt32:
      return DType::kI32;
    default:
      return DType::kU8;
  }
}

// As NCCL: the factor is rounded to the type, and so is each product; sums are rounded at the end.
template <typename T>
void reduce(const Meeting& meeting, size_t begin, size_t count, ncclRedOp_t op, double factor,
            std::vector<T>& result) {
  using A = std::conditional_t<std::is_same_v<T, double>, double,
                               std::conditional_t<std::is_integral_v<T>, int64_t, float>>;
  for (size_t i = 0; i < count; ++i) {
    A sum = 0;
    bool first = true;
    for (const auto& [rank, in] : meeting.in) {
      A x = static_cast<A>(static_cast<const T*>(in)[begin + i]);
      if (factor != 1) x = static_cast<A>(T(x * static_cast<A>(T(static_cast<A>(factor)))));
      const bool is_max = op == ncclMax, is_min = op == ncclMin;
      sum = first ? x : is_max ? std::max(sum, x) : is_min ? std::min(sum, x) : sum + x;
      first = false;
    }
    result[i] = static_cast<T>(sum);
  }
}

void complete(const Call& call, Meeting& meeting, int ranks) {
  const DType dtype = dtype_of(call.type);
  const size_t bytes = call.count * static_cast<size_t>(size_of(dtype));
  if (call.kind == Call::kAllGather || call.kind == Call::kBroadcast) {
    std::vector<char> all;
    for (const auto& [rank, in] : meeting.in) {
      if (call.kind == Call::kBroadcast && rank != call.root) continue;
      const auto* from = static_cast<const char*>(in);
      all.insert(all.end(), from, from + bytes);
    }
    for (const auto& [rank, out] : meeting.out) std::memcpy(out, all.data(), all.size());
    return;
  }
  double factor = call.op == ncclAvg ? 1.0 / ranks : 1;
  {
    const auto& pre_scaled = call.comm->owner->pre_scaled;
    const auto scaled = pre_scaled.find(call.op);
    if (scaled != pre_scaled.end()) factor = scaled->second;
  }
  const auto run = [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<T> result(call.count);
    if (call.kind == Call::kAllReduce) {
      reduce(meeting, 0, call.count, call.op, factor, result);
      for (const auto& [rank, out] : meeting.out) std::memcpy(out, result.data(), bytes);
    } else {
      for (const auto& [rank, out] : meeting.out) {
        reduce(meeting, static_cast<size_t>(rank) * call.count, call.count, call.op, factor,
               result);
        std::memcpy(out, result.data(), bytes);
      }
    }
  };
  if (dtype == DType::kF64) {
    run(std::type_identity<double>());
  } else if (dtype == DType::kF32) {
    run(std::type_identity<float>());
  } else if (dtype == DType::kBF16) {
    run(std::type_identity<BFloat16>());
  } else if (dtype == DType::kF16) {
    run(std::type_identity<Float16>());
  } else if (dtype == DType::kI64) {
    run(std::type_identity<int64_t>());
  } else if (dtype == DType::kI32) {
    run(std::type_identity<int32_t>());
  } else {
    run(std::type_identity<uint8_t>());
  }
}

void run_peer_call(const Call& call) {
  Comm& comm = *call.comm;
  Fake& mine = *comm.owner;
  const size_t bytes = call.count;
  std::unique_lock lock(mine.mutex);
  if (call.kind == Call::kSend) {
    const auto* from = static_cast<const char*>(call.in);
    comm.world->mail[{comm.rank, call.root}].emplace_back(from, from + bytes);
    mine.changed.notify_all();
    return;
  }
  auto& box = comm.world->mail[{call.root, comm.rank}];
  mine.changed.wait(lock, [&] { return !box.empty() || comm.ended; });
  if (box.empty()) return;
  std::memcpy(call.out, box.front().data(), bytes);
  box.erase(box.begin());
}

// On the stream: arrives, waits for the others, and leaves with the result.
void run_collective(const Call& call) {
  Comm& comm = *call.comm;
  Fake& mine = *comm.owner;
  std::unique_lock lock(mine.mutex);
  const int number = ++comm.begun;
  const std::string name = concat("rank ", comm.rank, ": collective ", number);
  const Key key{comm.rank, number};
  if (const auto delay = mine.delays.find(key); delay != mine.delays.end()) {
    mine.changed.wait_for(lock, delay->second, [&] { return comm.ended; });
  }
  if (mine.hangs.contains(key)) mine.changed.wait(lock, [&] { return comm.ended; });
  if (comm.ended) return;
  FakeGpus::get().log(name + " begins");
  Meeting& meeting = comm.world->meetings[number];
  meeting.in[comm.rank] = call.in;
  meeting.out[comm.rank] = call.out;
  if (static_cast<int>(meeting.in.size()) == comm.world->ranks) {
    complete(call, meeting, comm.world->ranks);
    meeting.done = true;
    mine.changed.notify_all();
  }
  mine.changed.wait(lock, [&] { return meeting.done || comm.ended; });
  if (!meeting.done) {  // nobody touches the buffers of one who has left
    meeting.in.erase(comm.rank);
    meeting.out.erase(comm.rank);
  }
  FakeGpus::get().log(name + " ends");
}

}  // namespace

void queue(Call call) {
  FakeGpus& gpus = FakeGpus::get();
  Comm& comm = *call.comm;
  if (gpus.is_capturing(call.stream)) {
    ++comm.graph_calls;
    call.in_graph = {&comm, [comm = call.comm](void*) {
                       const std::lock_guard lock(comm->owner->mutex);
                       --comm->graph_calls;
                       comm->owner->changed.notify_all();
                     }};
  }
  if (call.kind == Call::kSend || call.kind == Call::kRecv) {
    gpus.run_on(call.stream, [call] { run_peer_call(call); });
    return;
  }
  if (!call.in_graph) {
    gpus.log(concat("rank ", comm.rank, ": collective ", ++comm.calls, " queued"));
  }
  gpus.run_on(call.stream, [call] { run_collective(call); });
}

}  // namespace trireme::testing::fake_nccl
