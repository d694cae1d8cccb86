#include "distributed/nccl_api.h"

#include <atomic>

#include "core/base/error.h"
#include "core/base/shared_library.h"
#include "distributed/nccl_error.h"

namespace trireme {
namespace {

std::atomic<const NcclApi*> replacement = nullptr;

NcclApi load() {
  const SharedLibrary library("NCCL 2", {"libnccl.so.2", "libnccl.so"});
  if (!library.is_open()) throw CommError(CommError::Kind::kSystem, library.error());
  NcclApi api = {};
  const auto find = [&library](auto*& entry, const char* name) {
    entry = library.symbol<std::remove_pointer_t<std::remove_reference_t<decltype(entry)>>>(name);
  };
  // The version comes first: an old library is better named by its version than by what it lacks.
  find(api.get_version, "ncclGetVersion");
  find(api.get_error_string, "ncclGetErrorString");
  checked_nccl_version(api);
  find(api.get_last_error, "ncclGetLastError");
  find(api.get_unique_id, "ncclGetUniqueId");
  find(api.comm_init_rank_config, "ncclCommInitRankConfig");
  find(api.comm_split, "ncclCommSplit");
  find(api.comm_count, "ncclCommCount");
  find(api.comm_user_rank, "ncclCommUserRank");
  find(api.comm_get_async_error, "ncclCommGetAsyncError");
  find(api.comm_finalize, "ncclCommFinalize");
  find(api.comm_destroy, "ncclCommDestroy");
  find(api.comm_abort, "ncclCommAbort");
  find(api.group_start, "ncclGroupStart");
  find(api.group_end, "ncclGroupEnd");
  find(api.all_reduce, "ncclAllReduce");
  find(api.reduce_scatter, "ncclReduceScatter");
  find(api.all_gather, "ncclAllGather");
  find(api.broadcast, "ncclBroadcast");
  find(api.send, "ncclSend");
  find(api.recv, "ncclRecv");
  find(api.red_op_create_pre_mul_sum, "ncclRedOpCreatePreMulSum");
  find(api.red_op_destroy, "ncclRedOpDestroy");
  find(api.mem_alloc, "ncclMemAlloc");
  find(api.mem_free, "ncclMemFree");
  find(api.comm_register, "ncclCommRegister");
  find(api.comm_deregister, "ncclCommDeregister");
  return api;
}

}  // namespace

const NcclApi& nccl_api() {
  if (const NcclApi* table = replacement.load()) return *table;
  static const NcclApi loaded = load();
  return loaded;
}

std::string nccl_version_text(int code) {
  return concat(code / 10000, ".", code / 100 % 100, ".", code % 100);
}

int checked_nccl_version(const NcclApi& api) {
  int version = 0;
  check_nccl(api, "ncclGetVersion", api.get_version(&version));
  if (version >= kOldestNccl && version / 10000 == NCCL_MAJOR) return version;
  throw CommError(CommError::Kind::kMismatch,
                  concat("nccl: libnccl is version ", nccl_version_text(version),
                         ", this build needs ", nccl_version_text(kOldestNccl), " to ", NCCL_MAJOR,
                         ".x (it was compiled with ", nccl_version_text(NCCL_VERSION_CODE),
                         "); put a newer libnccl.so.2 first in LD_LIBRARY_PATH"));
}

ScopedNcclApi::ScopedNcclApi(const NcclApi& table) : previous_(replacement.exchange(&table)) {}
ScopedNcclApi::~ScopedNcclApi() { replacement.store(previous_); }

}  // namespace trireme
