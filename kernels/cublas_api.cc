#include "kernels/cublas_api.h"

#include "core/base/error.h"
#include "core/base/shared_library.h"

namespace trireme::kernels {
namespace {

#define TRIREME_TEXT_OF(x) #x
#define TRIREME_TEXT(x) TRIREME_TEXT_OF(x)

/// The major version of the header: descriptors of another one may have another layout.
constexpr const char* kLibrary = "libcublasLt.so." TRIREME_TEXT(CUBLAS_VER_MAJOR);

CublasApi load() {
  const SharedLibrary library("cuBLASLt",
                              {kLibrary, std::string("/usr/local/cuda/lib64/") + kLibrary});
  CublasApi api;
#define TRIREME_FIND(name) \
  api.name = library.symbol<std::remove_pointer_t<decltype(api.name)>>("cublasLt" #name);
  TRIREME_CUBLAS_FUNCTIONS(TRIREME_FIND)
#undef TRIREME_FIND
  return api;
}

const char* advice(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "no NVIDIA driver or GPU can be used here; run trireme doctor, or use --device cpu";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "out of memory; use a smaller batch";
    case CUBLAS_STATUS_ARCH_MISMATCH:
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "this GPU cannot do it in this dtype; use f32";
    default:
      return "set CUBLASLT_LOG_LEVEL=2 to see why";
  }
}

const CublasApi* replacement = nullptr;  // of a test

}  // namespace

const CublasApi& cublas_api() {
  if (replacement) return *replacement;
  static const CublasApi api = load();
  return api;
}

ScopedCublasApi::ScopedCublasApi(const CublasApi& table) { replacement = &table; }
ScopedCublasApi::~ScopedCublasApi() { replacement = nullptr; }

void check_cublas(const CublasApi& api, const char* op, const char* call, cublasStatus_t status,
                  const std::string& detail) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]] {
    return;
  }
  throw CudaError(concat(op, ": cublasLt", call, " failed", detail.empty() ? "" : " for ", detail,
                         ", ", api.GetStatusName(status), "; ", advice(status)));
}

}  // namespace trireme::kernels
