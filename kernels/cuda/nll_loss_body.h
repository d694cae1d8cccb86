// One row of nll_loss, by one group; on the CPU by a group of one.

#pragma once

#include "kernels/cuda/group.h"
#include "kernels/nll_loss.h"

namespace trireme::kernels {

template <typename T, typename Id>
struct NllRow {
  using A = Acc<T>;
  const NllTargets<T, Id>& of;
  int64_t cols;
  Id target;

  TRIREME_HD NllRow(const NllTargets<T, Id>& all, int64_t width, int64_t r)
      : of(all), cols(width), target(all.targets[r]) {}

  TRIREME_HD bool ignored() const { return static_cast<int64_t>(target) == of.ignore_index; }
  /// Of an id outside the table, which find_outside reports, nothing is read.
  TRIREME_HD bool valid() const { return target >= 0 && target < cols; }
  TRIREME_HD A weight(int64_t c) const { return of.weight ? static_cast<A>(of.weight[c]) : A(1); }
  TRIREME_HD A of_target() const { return static_cast<A>(1 - of.smoothing); }
  TRIREME_HD A of_each() const { return static_cast<A>(of.smoothing / static_cast<double>(cols)); }

  /// sum over c of weight[c] log_p[c], in f64: there may be many classes.
  template <typename Group>
  TRIREME_HD A sum(const Group& group, const T* log_p) const {
    double part = 0;
    for (int64_t c = group.rank(); c < cols; c += group.size()) {
      part += static_cast<double>(weight(c) * static_cast<A>(log_p[c]));
    }
    return static_cast<A>(group_sum(group, part));
  }

  /// loss[r] and counted[r], written by the group's first member.
  template <typename Group>
  TRIREME_HD void forward(const Group& group, const T* log_p, A* loss, A* counted) const {
    if (ignored() || !valid()) {
      if (group.rank() == 0) *loss = *counted = A(0);
      return;
    }
    const A all = of.smoothing > 0 ? sum(group, log_p) * of_each() : A(0);
    if (group.rank() != 0) return;
    const A w = weight(target);
    // A share of nothing is nothing, even of an infinite loss.
    const A own = of.smoothing < 1 ? of_target() * w * static_cast<A>(log_p[target]) : A(0);
    *loss = -(own + all);
    *counted = w;
  }

  template <typename Group>
  TRIREME_HD void backward(const Group& group, A dloss, T* dlog_p) const {
    const bool counts = !ignored() && valid();
    for (int64_t c = group.rank(); c < cols; c += group.size()) {
      const A share = (c == target ? of_target() : A(0)) + of_each();
      dlog_p[c] = counts && share != A(0) ? static_cast<T>(-dloss * weight(c) * share) : T(A(0));
    }
  }
};

}  // namespace trireme::kernels
