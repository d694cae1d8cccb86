// Products of bf16 on the calling thread, for attention: two elements of each operand at a time,
// sum += a0 b0 + a1 b1 in every lane of f32, twice the arithmetic of a fused multiply-add where the
// processor has the instruction (AVX-512 BF16).
//
// Pairs run along the inner dimension. A left operand whose rows are dense is read where it lies; a
// right operand is packed into panels of interleaved pairs. The instruction takes subnormals for
// zero and rounds each of its two steps.

#pragma once

#include <cstdint>

#include "core/base/half.h"
#include "kernels/gemm.h"

namespace trireme::kernels {

/// False where the functions below do the same in more instructions than an f32 product takes.
#if defined(__AVX512BF16__)
inline constexpr bool kMultipliesPairs = true;
#else
inline constexpr bool kMultipliesPairs = false;
#endif

/// Elements 2p and 2p + 1 of the inner dimension, the first in the low half.
using Pair = uint32_t;

constexpr int64_t pairs_of(int64_t elements) { return (elements + 1) / 2; }

/// Right operands are cut into panels of as many columns, the last one padded.
inline constexpr int64_t kPanelCols = 64;
constexpr int64_t padded_cols(int64_t cols) {
  return (cols + kPanelCols - 1) / kPanelCols * kPanelCols;
}

/// Dense or spread rows of bf16.
struct HalfRows {
  const BFloat16* data;
  int64_t row_stride;

  const BFloat16* row(int64_t i) const { return data + i * row_stride; }
};

/// A left operand: pair p of row i lies at data + i * row_stride + p * pair_stride, in elements.
struct PairRows {
  const BFloat16* data;
  int64_t row_stride, pair_stride;
};
/// Rows as they lie.
inline PairRows as_pairs(HalfRows x) { return {x.data, x.row_stride, 2}; }

/// A right operand: pair p of column j lies at
/// data[j / kPanelCols * panel_stride + p * kPanelCols + j % kPanelCols].
struct PairPanels {
  Pair* data;
  int64_t panel_stride;
};

/// x[rows, cols] with pairs along the rows (x is the right operand itself). A missing second row
/// and the columns behind cols are zero; `to` has room for pairs_of(rows) pairs.
void pack_rows(HalfRows x, int64_t rows, int64_t cols, PairPanels to);
/// x[rows, cols] with each element twice in its pair, for a left operand of split_in_pairs.
void pack_rows_twice(HalfRows x, int64_t rows, int64_t cols, PairPanels to);
/// x[rows, cols] with pairs along the columns (the right operand is x^T): row i becomes column i of
/// one panel, those behind `rows` zero. Requires rows <= kPanelCols and even cols.
void pack_transposed(HalfRows x, int64_t rows, int64_t cols, Pair* to);
/// One panel of pack_rows as a left operand, that of x^T.
PairRows transposed_rows(PairPanels packed);
/// to[i] = the leading 8 bits of x[i] and the 8 behind them, as a pair whose sum is x[i] to 2^-15
/// of it. to may be x. Requires finite x, or NaN.
void split_in_pairs(const float* x, int64_t count, Pair* to);

/// c[m, n] (+)= scale a[m, k] b[k, n] with k = 2 pairs. Rows of c have room for n rounded up to
/// whole vectors, kLanes<float>; what lies there behind n is overwritten.
void pair_gemm(int64_t m, int64_t n, int64_t pairs, PairRows a, PairPanels b, float scale, float* c,
               int64_t c_row_stride, Write write);

}  // namespace trireme::kernels
