// Cross entropy of rows of logits against whole-number targets, and its gradient.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// The first i < count with ids[i] outside [0, bound) and not equal to `ignored`; -1 if there is
/// none. Shared by everything that looks rows up by number. On CUDA nobody waits: the answer is -1,
/// and a check is queued whose finding the next synchronize() throws (core/cuda/index_error.h) in
/// the name of `op`, a string literal; kernels read and write nothing outside their tables
/// meanwhile.
template <typename Id>
int64_t find_outside(Cpu, const char* op, const Id* ids, int64_t count, int64_t bound,
                     int64_t ignored);
template <typename Id>
int64_t find_outside(Cuda, const char* op, const Id* ids, int64_t count, int64_t bound,
                     int64_t ignored);

/// result[0] = mean over the rows with targets[r] != ignore_index of
/// logsumexp[r] - logits[r, targets[r]], result[1] = 1 / their number; NaN and infinity when all
/// are ignored. logsumexp[rows] is kept for the gradient. Reads logits once. Targets must have been
/// checked with find_outside. Id is i64 or i32.
template <typename T, typename Id>
void cross_entropy(Cpu, MatrixView<const T> logits, const Id* targets, int64_t ignore_index,
                   Acc<T>* logsumexp, Acc<T>* result);
template <typename T, typename Id>
void cross_entropy(Cuda, MatrixView<const T> logits, const Id* targets, int64_t ignore_index,
                   Acc<T>* logsumexp, Acc<T>* result);

/// dlogits[r, c] = (exp(logits[r, c] - logsumexp[r]) - [c = targets[r]]) * dloss * inverse_count,
/// zero in ignored rows. dloss and inverse_count point to one element each. One pass.
template <typename T, typename Id>
void cross_entropy_backward(Cpu, MatrixView<const T> logits, const Id* targets,
                            int64_t ignore_index, const Acc<T>* logsumexp, const Acc<T>* dloss,
                            const Acc<T>* inverse_count, MatrixView<T> dlogits);
template <typename T, typename Id>
void cross_entropy_backward(Cuda, MatrixView<const T> logits, const Id* targets,
                            int64_t ignore_index, const Acc<T>* logsumexp, const Acc<T>* dloss,
                            const Acc<T>* inverse_count, MatrixView<T> dlogits);

}  // namespace trireme::kernels
