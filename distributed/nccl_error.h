// Turning NCCL's status codes and our types into each other's.

#pragma once

#include "core/base/dtype.h"
#include "core/base/error.h"
#include "distributed/communicator.h"
#include "distributed/nccl_api.h"

namespace trireme {

/// `nccl: ncclAllReduce failed, <what NCCL says>; <what to do>`: kPeerLost where NCCL blames a
/// peer, else kSystem. `comm` may be null.
CommError nccl_error(const NcclApi& api, const char* call, ncclResult_t result,
                     ncclComm_t comm = nullptr);

/// Throws nccl_error unless `result` is ncclSuccess.
void check_nccl(const NcclApi& api, const char* call, ncclResult_t result,
                ncclComm_t comm = nullptr);

ncclDataType_t nccl_type_of(DType dtype);
/// Of everything but an average. "or" of bool is the maximum, "and" the minimum.
ncclRedOp_t nccl_op_of(ReduceOp op, DType dtype);

}  // namespace trireme
