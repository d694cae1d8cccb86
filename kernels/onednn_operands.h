// Operands of bf16 products in the layouts that oneDNN's kernels read best, on all threads. Its own
// reorders make the same, in several times the instructions.

#pragma once

#include "kernels/gemm.h"
#include "kernels/pair_gemm.h"

namespace trireme::kernels {

/// True if b[k, n] can be packed here: one of its strides is 1, and tiles are whole.
bool can_pack_right(const Operand<BFloat16>& b, int64_t k, int64_t n);
/// oneDNN's BA16a64b2a: panels of 64 columns with pairs along k. `to` has room for k n elements.
void pack_right(const Operand<BFloat16>& b, int64_t k, int64_t n, Pair* to);

/// True if a[m, k] lies transposed and can be transposed here.
bool can_straighten_left(const Operand<BFloat16>& a, int64_t m, int64_t k);
/// to[i * k + j] = a[i, j]. Dense, because oneDNN 2.6 takes a slower path for spread rows.
void straighten_left(const Operand<BFloat16>& a, int64_t m, int64_t k, BFloat16* to);

}  // namespace trireme::kernels
