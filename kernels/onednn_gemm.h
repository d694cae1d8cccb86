// One f32 matrix product through oneDNN, on all threads of the caller.

#pragma once

#include <cstdint>

#include "kernels/gemm.h"

namespace trireme::kernels {

/// c[m, n] (+)= a[m, k] b[k, n] + bias[n] (bias may be null; it needs Write::kOverwrite).
struct OnednnGemm {
  int64_t m, n, k;
  Operand<float> a, b;
  const float* bias;
  float* c;
  int64_t c_row_stride;
  Write write;
};

/// True if oneDNN can read both operands in place: one stride is 1, the other spans the rows.
bool onednn_can_read(const OnednnGemm& g);

/// Requires onednn_can_read(g), positive extents, and not to be inside a parallel region.
/// Primitives are kept per thread by shape, strides and thread count, so a repeated product costs
/// no set-up. Throws Error when oneDNN refuses.
void onednn_gemm(const OnednnGemm& g);

}  // namespace trireme::kernels
