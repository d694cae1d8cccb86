// cuBLASLt on host memory: keeps the descriptors it is given, and computes the product they
// describe, column by column, as cuBLASLt's manual defines it. Refuses what the real one refuses.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cublas_api.h"

namespace trireme::testing {

/// What the mock does and has seen. Reset by CublasMock's constructor.
struct CublasMockState {
  int live_objects = 0;  // handles and descriptors not yet destroyed
  int products = 0;
  int heuristic_calls = 0;
  bool has_bias = true;                // false: no algorithm adds a bias
  int guesses = 3;                     // algorithms the heuristic knows
  std::vector<double> times{3, 1, 2};  // ms of each algorithm
  uint64_t last_algorithm = 0;         // 1 is the heuristic's first
  size_t workspace_bytes = 64;         // what each algorithm asks for
  std::string failing;                 // this function returns `failure`
  cublasStatus_t failure = CUBLAS_STATUS_INTERNAL_ERROR;
  /// Runs a product, now or later; empty: now.
  std::function<cublasStatus_t(cudaStream_t, std::function<cublasStatus_t()>)> queue;
};

class CublasMock {
 public:
  CublasMock();
  const kernels::CublasApi& api() const { return api_; }
  CublasMockState& state();
  /// ms of the algorithm that ran last.
  double time();

 private:
  kernels::CublasApi api_;
};

}  // namespace trireme::testing
