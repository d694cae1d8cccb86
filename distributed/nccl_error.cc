#include "distributed/nccl_error.h"

namespace trireme {
namespace {

const char* advice_for(ncclResult_t result) {
  switch (result) {
    case ncclUnhandledCudaError:
      return "a kernel before it may have failed: TRIREME_SYNC_DEBUG=1 names it";
    case ncclSystemError:
      return "the network or the system refused: NCCL_DEBUG=INFO says which, NCCL_SOCKET_IFNAME "
             "chooses the interface";
    case ncclRemoteError:
      return "a peer has ended or cannot be reached: look at the other ranks' logs";
    case ncclInvalidArgument:
    case ncclInvalidUsage:
      return "set NCCL_DEBUG=WARN to see which argument";
    default:
      return "set NCCL_DEBUG=INFO";
  }
}

}  // namespace

CommError nccl_error(const NcclApi& api, const char* call, ncclResult_t result, ncclComm_t comm) {
  const char* what = api.get_error_string ? api.get_error_string(result) : nullptr;
  const char* last = api.get_last_error ? api.get_last_error(comm) : nullptr;
  const auto kind =
      result == ncclRemoteError ? CommError::Kind::kPeerLost : CommError::Kind::kSystem;
  const std::string detail = last && *last ? concat(" (", last, ")") : "";
  return {kind, concat("nccl: ", call, " failed, ", what ? what : "unknown error", detail, "; ",
                       advice_for(result))};
}

void check_nccl(const NcclApi& api, const char* call, ncclResult_t result, ncclComm_t comm) {
  if (result != ncclSuccess) throw nccl_error(api, call, result, comm);
}

ncclDataType_t nccl_type_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return ncclFloat64;
    case DType::kF32:
      return ncclFloat32;
    case DType::kBF16:
      return ncclBfloat16;
    case DType::kF16:
      return ncclFloat16;
    case DType::kI64:
      return ncclInt64;
    case DType::kI32:
      return ncclInt32;
    case DType::kU8:
    case DType::kBool:
      return ncclUint8;
  }
  fail("nccl", "no such dtype, got ", static_cast<int>(dtype));
}

ncclRedOp_t nccl_op_of(ReduceOp op, DType dtype) {
  switch (op) {
    case ReduceOp::kSum:
      return dtype == DType::kBool ? ncclMax : ncclSum;
    case ReduceOp::kMax:
      return ncclMax;
    case ReduceOp::kMin:
      return ncclMin;
    case ReduceOp::kAverage:
      break;
  }
  fail("nccl", "no plain operation, got ", static_cast<int>(op));
}

}  // namespace trireme
