// Cross entropy of one row of logits and its gradient, by one group.

#pragma once

#include "kernels/cuda/softmax_body.h"

namespace trireme::kernels {

/// What a row's target says: the row is left out, or its target's logit, or (an id outside the
/// table, which find_outside reports) a row of which only the exponentials count.
template <typename Id>
struct Target {
  Id id;
  bool ignored, valid;

  TRIREME_HD Target(Id target, int64_t ignore_index, int64_t cols)
      : id(target), ignored(target == ignore_index), valid(target >= 0 && target < cols) {}
};

/// logsumexp of the row and the row's loss, logsumexp - logit; 0 and 0 for a row left out. The same
/// in every member.
template <int W, typename T, typename Id, typename Group>
TRIREME_HD Two<Acc<T>> cross_entropy_row(const Group& group, const T* logits, int64_t cols,
                                         const Target<Id>& target) {
  using A = Acc<T>;
  if (target.ignored) return {A(0), A(0)};
  const auto found = exp_sum_of_row<T, W>(group, logits, cols);
  return {found.logsumexp(),
          target.valid ? found.logsumexp_less(static_cast<A>(logits[target.id])) : A(0)};
}

/// The sum of the losses of rows that count, and their number. A row left out has loss 0. `loss`
/// may be null: its sum is then 0.
template <typename A, typename Id, typename Group>
TRIREME_HD Two<double> mean_loss_parts(const Group& group, const A* loss, const Id* targets,
                                       int64_t rows, int64_t ignore_index) {
  Two<double> part{0, 0};
  // Both loads whatever the target: none waits for another, and those of several rows go together.
  TRIREME_UNROLL_BY(8)
  for (int64_t r = group.rank(); r < rows; r += group.size()) {
    part = part + Two<double>{loss ? static_cast<double>(loss[r]) : 0.0,
                              targets[r] == ignore_index ? 0.0 : 1.0};
  }
  return group_sum(group, part);
}

/// dlogits = (softmax - [c = target]) * scale, zero for a row left out; dlogits may be logits, once
/// every member has read what it needs of the row.
template <int W, typename T, typename Id, typename Group>
TRIREME_HD void cross_entropy_backward_row(const Group& group, const T* logits, T* dlogits,
                                           int64_t cols, const Target<Id>& target, Acc<T> logsumexp,
                                           Acc<T> scale) {
  using A = Acc<T>;
  each_ragged<W>(group, logits, cols, [&](auto width, int64_t c) {
    A v[width];
    if (target.ignored) {
      TRIREME_UNROLL
      for (int k = 0; k < width; ++k) v[k] = 0;
    } else {
      load_values<width>(logits + c, v);
      TRIREME_UNROLL
      for (int k = 0; k < width; ++k) {
        const A share = vmath::exp(v[k] - logsumexp);
        v[k] = (c + k == target.id ? share - A(1) : share) * scale;
      }
    }
    store_values<width>(dlogits + c, v);
  });
}

/// Loss of one row, and the row becomes its gradient times `scale`, zero from column `classes` on.
template <int W, typename T, typename Id, typename Group>
TRIREME_HD Acc<T> cross_entropy_inplace_row(const Group& group, T* logits, int64_t classes,
                                            int64_t cols, const Target<Id>& target, Acc<T> scale) {
  const Two<Acc<T>> found = cross_entropy_row<W>(group, logits, classes, target);
  group.sync();  // every member has read the target's logit
  cross_entropy_backward_row<W>(group, logits, logits, classes, target, found.first, scale);
  for (int64_t c = classes + group.rank(); c < cols; c += group.size()) logits[c] = T(Acc<T>(0));
  return found.second;
}

}  // namespace trireme::kernels
