// Cross entropy in place for rows that wait in shared memory: one group's rows, one after another.

#pragma once

#include "kernels/cuda/cross_entropy_body.h"
#include "kernels/cuda/staged_row.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// As cross_entropy_inplace_row for the rows first, first + step, ..: their losses, and the rows
/// become their gradients. `held`: shared memory for a row. Requires rows of packs.
template <typename T, typename Id>
struct StagedCrossEntropy {
  MatrixView<T> logits;
  int64_t classes;
  const Id* targets;
  int64_t ignore_index;
  const Acc<T>* inverse_count;
  Acc<T>* loss;

  template <typename Group>
  TRIREME_HD void operator()(const Group& group, T* held, int64_t first, int64_t step) const {
    const StagedRow<T> staged(group, held, logits.cols);
    if (first >= logits.rows) return;
    const A scale = *inverse_count;
    const int64_t jump = step * logits.row_stride;
    T* row = logits.data + first * logits.row_stride;
    Target<Id> target(targets[first], ignore_index, classes);
    if (!target.ignored) staged.start(row);
    for (int64_t r = first; r < logits.rows; r += step) {
      const bool is_last = r + step >= logits.rows;
      const Target<Id> next(targets[is_last ? r : r + step], ignore_index, classes);
      T* const next_row = row + jump;
      const bool wants_next = !is_last && !next.ignored;
      one_row(group, staged, row, target, scale, loss + r, next_row, wants_next);
      target = next;
      row = next_row;
    }
  }

 private:
  static constexpr int kW = StagedRow<T>::kWidth;
  using A = Acc<T>;

  /// What stands behind the classes counts as `value`.
  TRIREME_HD static void pad(int c, int end, A value, A (&v)[kW]) {
    if (c + kW <= end) return;
    TRIREME_UNROLL
    for (int k = 0; k < kW; ++k) v[k] = c + k < end ? v[k] : value;
  }

  /// The row, which has been started unless it is left out: such a row is not read at all.
  template <typename Group>
  TRIREME_HD void one_row(const Group& group, const StagedRow<T>& staged, T* row,
                          const Target<Id>& target, A scale, A* row_loss, const T* next,
                          bool wants_next) const {
    const int end = static_cast<int>(classes);
    if (target.ignored) {
      const A zeros[kW] = {};
      staged.replace(next, wants_next, [&](int c) { store_values<kW>(row + c, zeros); });
      if (group.rank() == 0) *row_loss = 0;
      return;
    }
    ExpSum<T> part;
    staged.read([&](int c) {
      A v[kW];
      load_values<kW>(staged.held() + c, v);
      pad(c, end, -std::numeric_limits<A>::infinity(), v);
      part.add(v);
    });
    const ExpSum<T> all = part.over(group);
    const bool owns_target = target.valid && staged.owns(target.id);
    const A logit = owns_target ? static_cast<A>(staged.held()[target.id]) : A(0);
    const A factor = scale / all.sum;
    staged.replace(next, wants_next, [&](int c) {
      A v[kW];
      load_values<kW>(staged.held() + c, v);
      TRIREME_UNROLL
      for (int k = 0; k < kW; ++k) v[k] = exp_for<T>(v[k] - all.most) * factor;
      pad(c, end, A(0), v);
      store_values<kW>(row + c, v);
    });
    if (owns_target) {
      // Anew, and by the member that has written the pack: after it.
      row[target.id] = T((exp_for<T>(logit - all.most) / all.sum - A(1)) * scale);
      *row_loss = all.logsumexp_less(logit);
    } else if (!target.valid && group.rank() == 0) {
      *row_loss = 0;
    }
  }
};

}  // namespace trireme::kernels
