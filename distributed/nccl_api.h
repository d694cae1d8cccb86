// Every entry point of NCCL that Trireme calls, as a table of pointers.
//
// libnccl.so.2 is opened when the table is first needed, so programs start on machines without it.
// All calls go through the table: a test can put a world of its own behind it, one that fails,
// hangs or delays, on a machine without a GPU.

#pragma once

#include <nccl.h>

#include <string>

namespace trireme {

/// Names are NCCL's own, without the prefix.
struct NcclApi {
  decltype(&ncclGetVersion) get_version;
  decltype(&ncclGetErrorString) get_error_string;
  decltype(&ncclGetLastError) get_last_error;

  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRankConfig) comm_init_rank_config;
  decltype(&ncclCommSplit) comm_split;
  decltype(&ncclCommCount) comm_count;
  decltype(&ncclCommUserRank) comm_user_rank;
  decltype(&ncclCommGetAsyncError) comm_get_async_error;
  decltype(&ncclCommFinalize) comm_finalize;
  decltype(&ncclCommDestroy) comm_destroy;
  decltype(&ncclCommAbort) comm_abort;

  decltype(&ncclGroupStart) group_start;
  decltype(&ncclGroupEnd) group_end;
  decltype(&ncclAllReduce) all_reduce;
  decltype(&ncclReduceScatter) reduce_scatter;
  decltype(&ncclAllGather) all_gather;
  decltype(&ncclBroadcast) broadcast;
  decltype(&ncclSend) send;
  decltype(&ncclRecv) recv;
  decltype(&ncclRedOpCreatePreMulSum) red_op_create_pre_mul_sum;
  decltype(&ncclRedOpDestroy) red_op_destroy;

  decltype(&ncclMemAlloc) mem_alloc;
  decltype(&ncclMemFree) mem_free;
  decltype(&ncclCommRegister) comm_register;
  decltype(&ncclCommDeregister) comm_deregister;
};

/// The table in force. The first call opens the library: CommError(kSystem) where it is missing or
/// too old, with what to install.
const NcclApi& nccl_api();

/// Older ones lack entry points of the table.
inline constexpr int kOldestNccl = NCCL_VERSION(2, 19, 3);

/// "2.28.9" of NCCL_VERSION_CODE.
std::string nccl_version_text(int code);

/// The version in force. Throws CommError(kMismatch) for one that is too old, or of another major
/// version than the header this was compiled with.
int checked_nccl_version(const NcclApi& api);

/// Puts `table` in force while it lives: for tests. Not while another thread uses NCCL.
class ScopedNcclApi {
 public:
  explicit ScopedNcclApi(const NcclApi& table);
  ~ScopedNcclApi();
  ScopedNcclApi(const ScopedNcclApi&) = delete;

 private:
  const NcclApi* previous_;
};

}  // namespace trireme
