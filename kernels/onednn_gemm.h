// One matrix product of f32 or bf16 through oneDNN, on all threads of the caller.

#pragma once

#include <cstdint>

#include "kernels/gemm.h"

namespace trireme::kernels {

/// c[m, n] (+)= a[m, k] b[k, n] + bias[n] (bias may be null; it needs Write::kOverwrite). bf16 is
/// summed in f32 and rounded once.
template <typename T>
struct OnednnGemm {
  int64_t m, n, k;
  Operand<T> a, b;
  const T* bias;
  T* c;
  int64_t c_row_stride;
  Write write;
};

/// True if oneDNN can read both operands in place (one stride is 1, the other spans the rows) and
/// the processor multiplies such elements.
template <typename T>
bool onednn_can_run(const OnednnGemm<T>& g);

/// Requires onednn_can_run(g), positive extents, and not to be inside a parallel region.
/// Primitives are kept per thread by shape, strides and thread count, so a repeated product costs
/// no set-up. Throws Error when oneDNN refuses.
template <typename T>
void onednn_gemm(const OnednnGemm<T>& g);

}  // namespace trireme::kernels
