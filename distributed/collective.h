// What a collective is: the description that ranks compare, queue and report.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/dtype.h"
#include "distributed/communicator.h"

namespace trireme {

enum class CollectiveKind : uint8_t {
  kAllReduce,      // count elements, out only
  kReduceScatter,  // in: world_size * count elements, out: count
  kAllGather,      // in: count bytes, out: world_size * count
  kBroadcast,      // count bytes, out only
  kBarrier,
  kAllocate,  // count bytes of shared memory, given to *memory
};

/// What must be the same on every rank.
struct CallShape {
  CollectiveKind kind = CollectiveKind::kBarrier;
  ReduceOp op = ReduceOp::kSum;
  DType dtype = DType::kU8;
  int32_t root = 0;
  int64_t count = 0;  // elements of dtype

  bool operator==(const CallShape&) const = default;
  int64_t bytes() const { return count * size_of(dtype); }
};

/// One rank's call.
struct Collective {
  CallShape shape;
  const void* in = nullptr;
  void* out = nullptr;
  std::shared_ptr<void>* memory = nullptr;

  /// Bytes that this rank gives to the others at most.
  int64_t input_bytes(int world_size) const {
    return shape.bytes() * (shape.kind == CollectiveKind::kReduceScatter ? world_size : 1);
  }
  const void* input() const { return in ? in : out; }
};

/// "sum", "average", "max", "min".
const char* name_of(ReduceOp op);

/// "all_reduce #12 (sum of 6553600 f32, 26214400 bytes)"; `number` counts a communicator's
/// collectives from 1.
std::string describe(const CallShape& shape, uint64_t number);

}  // namespace trireme
