// Sums over any set of dimensions, as kept elements times reduced ones: geometry and the share of
// one thread, for host and device.

#pragma once

#include <algorithm>

#include "kernels/cuda/group.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/strided.h"
#include "kernels/reduce.h"

namespace trireme::kernels {

/// What sums are kept in: f64 for f32 and f64, f32 for 16-bit types, i64 for whole numbers.
template <typename T>
using SumTotal = std::conditional_t<std::is_same_v<T, float>, double,
                                    std::conditional_t<is_half<T>, float, SumOf<T>>>;

/// Kept operands are y (dense) and x; the reduced one is x.
struct SumPlan {
  StridedLoop<2> kept;
  StridedLoop<1> reduced;
  /// Neighbouring results lie nearer to each other in x than neighbouring terms: threads then take
  /// results, else terms.
  bool columns;
  int64_t pieces;  // a result's terms are cut into as many runs, each summed on its own
  int64_t piece_length;
};

/// Cuts the terms where there are too few results to fill `multiprocessors`.
inline SumPlan plan_sum(const Shape& shape, const Strides& strides, uint32_t reduced,
                        int multiprocessors) {
  Shape kept_shape, reduced_shape;
  Strides kept_strides, reduced_strides;
  for (int d = 0; d < shape.rank(); ++d) {
    const bool keep = (reduced >> d & 1) == 0;
    (keep ? kept_shape : reduced_shape).push_back(shape[d]);
    (keep ? kept_strides : reduced_strides).push_back(strides[d]);
  }
  const Strides y_strides = contiguous_strides(kept_shape);
  SumPlan plan{plan_loop<2>(kept_shape, {&y_strides, &kept_strides}),
               plan_loop<1>(reduced_shape, {&reduced_strides}), false, 1, 0};
  const int64_t kept = plan.kept.count, count = plan.reduced.count;
  plan.columns = plan.kept.inner_extent() > 1 && plan.kept.inner_stride(1) != 0 &&
                 plan.kept.inner_stride(1) < plan.reduced.inner_stride(0);
  plan.piece_length = count;
  // A group of up to 256 threads takes a row, a thread a column; a piece must be worth the second
  // kernel: 16 terms for each thread.
  const int64_t per_piece = plan.columns ? 128 : 4096;
  const int64_t resident = int64_t{2048} * multiprocessors;
  const int64_t threads = kept * (plan.columns ? 1 : std::min<int64_t>(256, (count + 15) / 16));
  if (kept > 0 && threads < resident && count >= 2 * per_piece) {
    const int64_t wanted =
        std::min(count / per_piece, 2 * resident / std::max<int64_t>(1, threads));
    plan.pieces = std::max<int64_t>(1, wanted);
    plan.piece_length = (count + plan.pieces - 1) / plan.pieces;
    plan.pieces = (count + plan.piece_length - 1) / plan.piece_length;
  }
  return plan;
}

/// The sum of terms [begin, end) that start at `x`, taken every `step`-th from begin + first on.
/// `dense` says that terms are neighbours in memory.
template <typename T>
TRIREME_HD SumTotal<T> sum_terms(const T* x, const StridedIndex<1>& reduced, bool dense,
                                 int64_t begin, int64_t end, int64_t first, int64_t step) {
  using Total = SumTotal<T>;
  Total sums[4] = {};
  const auto term = [&](int64_t i) {
    const T value = dense ? x[i] : x[reduced.at(i)[0]];
    return static_cast<Total>(static_cast<Acc<T>>(value));
  };
  int64_t i = begin + first;
  for (; i + 3 * step < end; i += 4 * step) {
    TRIREME_UNROLL
    for (int j = 0; j < 4; ++j) sums[j] += term(i + j * step);
  }
  for (; i < end; i += step) sums[0] += term(i);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// The same for dense terms in packs: [begin, end) are whole packs, x + begin is aligned.
template <int W, typename T>
TRIREME_HD SumTotal<T> sum_packs(const T* x, int64_t begin, int64_t end, int64_t first,
                                 int64_t step) {
  SumTotal<T> sums[W] = {};
  for (int64_t i = begin + first * W; i < end; i += step * W) {
    Acc<T> v[W];
    load_values<W>(x + i, v);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) sums[k] += static_cast<SumTotal<T>>(v[k]);
  }
  SumTotal<T> total = 0;
  TRIREME_UNROLL
  for (int k = 0; k < W; ++k) total += sums[k];
  return total;
}

/// The result of a sum: scaled where T is floating, in SumOf<T>.
template <typename T>
TRIREME_HD SumOf<T> finish_sum(SumTotal<T> total, double scale) {
  if constexpr (std::is_floating_point_v<Acc<T>>) {
    return static_cast<SumOf<T>>(static_cast<Acc<T>>(static_cast<double>(total) * scale));
  } else {
    return total;
  }
}

}  // namespace trireme::kernels
