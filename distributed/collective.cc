#include "distributed/collective.h"

namespace trireme {
namespace {

const char* name_of(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return "all_reduce";
    case CollectiveKind::kReduceScatter:
      return "reduce_scatter";
    case CollectiveKind::kAllGather:
      return "all_gather";
    case CollectiveKind::kBroadcast:
      return "broadcast";
    case CollectiveKind::kBarrier:
      return "barrier";
    case CollectiveKind::kAllocate:
      return "allocate";
  }
  return "unknown collective";
}

}  // namespace

const char* name_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum:
      return "sum";
    case ReduceOp::kAverage:
      return "average";
    case ReduceOp::kMax:
      return "max";
    case ReduceOp::kMin:
      return "min";
  }
  return "unknown op";
}

std::string describe(const CallShape& shape, uint64_t number) {
  const std::string head = concat(name_of(shape.kind), " #", number);
  switch (shape.kind) {
    case CollectiveKind::kAllReduce:
    case CollectiveKind::kReduceScatter:
      return concat(head, " (", name_of(shape.op), " of ", shape.count, " ", name_of(shape.dtype),
                    ", ", shape.bytes(), " bytes)");
    case CollectiveKind::kBroadcast:
      return concat(head, " (", shape.bytes(), " bytes from rank ", shape.root, ")");
    case CollectiveKind::kBarrier:
      return head;
    default:
      return concat(head, " (", shape.bytes(), " bytes)");
  }
}

}  // namespace trireme
