// Negative log likelihood of rows of log probabilities, with class weights and label smoothing.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// What the kernels are told besides the rows. Id is i64 or i32; targets must have been checked
/// with find_outside (kernels/cross_entropy.h).
template <typename T, typename Id>
struct NllTargets {
  const Id* targets;  // [rows]
  int64_t ignore_index;
  const T* weight;  // [cols], null: 1
  double smoothing;
};

/// With s the smoothing and t = targets[r]:
///   loss[r] = -(1 - s) weight[t] log_p[r, t] - s / cols sum_c weight[c] log_p[r, c]
/// and counted[r] = weight[t]; both 0 where t is ignore_index. Reads log_p once where s > 0, else
/// one element of each row.
template <typename T, typename Id>
void nll_loss(Cpu, MatrixView<const T> log_p, const NllTargets<T, Id>& of, Acc<T>* loss,
              Acc<T>* counted);
template <typename T, typename Id>
void nll_loss(Cuda, MatrixView<const T> log_p, const NllTargets<T, Id>& of, Acc<T>* loss,
              Acc<T>* counted);

/// dlog_p[r, c] = -dloss[r] weight[c] ((1 - s) [c = t] + s / cols), 0 in ignored rows.
template <typename T, typename Id>
void nll_loss_backward(Cpu, const NllTargets<T, Id>& of, const Acc<T>* dloss, MatrixView<T> dlog_p);
template <typename T, typename Id>
void nll_loss_backward(Cuda, const NllTargets<T, Id>& of, const Acc<T>* dloss,
                       MatrixView<T> dlog_p);

}  // namespace trireme::kernels
