// C = A B of 16-bit elements on the calling thread, any strides: where oneDNN has no product, and
// small ones.

#pragma once

#include "kernels/gemm.h"

namespace trireme::kernels {

/// c[m, n] (+)= a[m, k] b[k, n] + bias[n]; c has contiguous rows, c_row_stride apart; bias may be
/// null. Blocks of a and b are widened to f32 and multiplied by gemm(). Sums are kept in f32 over
/// all of k, and rounded once where C is not float.
/// Instantiated for T bf16 and f16 with C = T and C = float.
template <typename T, typename C>
void half_gemm(int64_t m, int64_t n, int64_t k, Operand<T> a, Operand<T> b, const T* bias, C* c,
               int64_t c_row_stride, Write write);

}  // namespace trireme::kernels
