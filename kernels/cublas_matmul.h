// Matrix products by cuBLASLt, each shape with the algorithm that was fastest on this GPU.
//
// The first product of a shape asks cuBLASLt for its best guesses, times them on the product's own
// operands, and keeps the winner, on disk too (kernels/cublas_algorithms.h). While a CUDA graph is
// being captured nothing can be timed: then the first guess is used, and not kept. Descriptors are
// made once per shape. An object belongs to one thread; handles of cuBLASLt are cheap.

#pragma once

#include <memory>
#include <unordered_map>

#include "kernels/cublas_algorithms.h"
#include "kernels/cublas_api.h"
#include "kernels/library_device.h"
#include "kernels/matmul_call.h"

namespace trireme::kernels {

/// May tensor cores round f32 operands to 10 bits of mantissa? (TRIREME_ALLOW_TF32)
enum class Tf32 { kForbidden, kAllowed };

struct CublasOptions {
  Tf32 tf32 = Tf32::kForbidden;
  bool tune = true;  // TRIREME_TUNE: false takes the first guess, the same in every run
};

class CublasMatmul {
 public:
  /// Throws CudaError with one clear message where cuBLASLt cannot start: no driver, no GPU.
  CublasMatmul(const CublasApi& api, LibraryDevice& device, MatmulAlgorithms& algorithms,
               CublasOptions options);
  ~CublasMatmul();
  CublasMatmul(const CublasMatmul&) = delete;

  const CublasOptions& options() const { return options_; }

  /// Queues the product on `stream`. Sums in f32 (f64 for f64), also where partial sums of one
  /// element are made apart. Its working memory, at most 32 MiB (64 from sm_90 on), is freed behind
  /// it. 2 batch m n k FLOPs; reads a and b once or more, writes c once.
  void run(const MatmulCall& call, CUstream_st* stream);

  /// False where no algorithm of cuBLASLt does this (an epilogue in this dtype or layout).
  bool supports(const MatmulCall& call);

  /// The calling thread's, on device `index`.
  static CublasMatmul& of(int index);

 private:
  struct Plan;
  Plan& plan_for(const MatmulCall& call, CUstream_st* stream);
  std::unique_ptr<Plan> make_plan(const MatmulCall& call) const;
  void choose(Plan& plan, const MatmulKey& key, const MatmulCall& call, CUstream_st* stream);
  bool use_kept(Plan& plan, const MatmulKey& key) const;
  void guess(Plan& plan, const MatmulCall& call) const;
  void time_guesses(Plan& plan, const MatmulCall& call, CUstream_st* stream);
  void launch(Plan& plan, const cublasLtMatmulHeuristicResult_t& algorithm, const MatmulCall& call,
              void* d, CUstream_st* stream);

  const CublasApi& api_;
  LibraryDevice& device_;
  MatmulAlgorithms& algorithms_;
  const CublasOptions options_;
  const int64_t workspace_bytes_;
  cublasLtHandle_t handle_ = nullptr;
  struct KeyHash {
    size_t operator()(const MatmulKey& key) const;
  };
  std::unordered_map<MatmulKey, std::unique_ptr<Plan>, KeyHash> plans_;
};

}  // namespace trireme::kernels
