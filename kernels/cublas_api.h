// cuBLASLt, loaded at run time: programs start on machines that do not have it.
//
// Every entry point that Trireme calls stands in one table, so that tests put their own there.

#pragma once

#include <cublasLt.h>

#include <string>

namespace trireme::kernels {

// clang-format off
#define TRIREME_CUBLAS_FUNCTIONS(X) \
  X(Create) X(Destroy) X(GetVersion) X(GetStatusName) X(MatmulDescCreate) X(MatmulDescDestroy) \
  X(MatmulDescSetAttribute) X(MatrixLayoutCreate) X(MatrixLayoutDestroy) \
  X(MatrixLayoutSetAttribute) X(MatmulPreferenceCreate) X(MatmulPreferenceDestroy) \
  X(MatmulPreferenceSetAttribute) X(MatmulAlgoGetHeuristic) X(MatmulAlgoCheck) X(Matmul)
// clang-format on

/// cublasLt<name> for each name above.
struct CublasApi {
#define TRIREME_MEMBER(name) decltype(&::cublasLt##name) name;
  TRIREME_CUBLAS_FUNCTIONS(TRIREME_MEMBER)
#undef TRIREME_MEMBER
};

/// The library's functions. Loads it in the first call; throws CudaError that says what to install
/// where it is missing. Thread-safe.
const CublasApi& cublas_api();

/// Puts `table` in the place of the library while it lives: for tests. Not while another thread
/// uses it, nor after this one has: what was made with the library stays with it.
class ScopedCublasApi {
 public:
  explicit ScopedCublasApi(const CublasApi& table);
  ~ScopedCublasApi();
  ScopedCublasApi(const ScopedCublasApi&) = delete;
};

/// Throws CudaError `op: call failed, status; what to do` unless `status` is success.
void check_cublas(const CublasApi& api, const char* op, const char* call, cublasStatus_t status,
                  const std::string& detail = "");

}  // namespace trireme::kernels
