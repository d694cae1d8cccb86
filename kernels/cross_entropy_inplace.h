// Cross entropy that turns its logits into their gradient: for large vocabularies, where a second
// matrix of the logits' size would be the largest of the whole step.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// result[0] and result[1] as cross_entropy (kernels/cross_entropy.h) of the first `classes`
/// columns; logits[r, c] becomes d result[0] / d logits[r, c]: (softmax - [c = targets[r]]) *
/// result[1], zero in ignored rows and from column `classes` on. A row is read from memory once.
/// Targets must have been checked with find_outside. In f16 gradients below 3e-8 become 0.
template <typename T, typename Id>
void cross_entropy_inplace(Cpu, MatrixView<T> logits, int64_t classes, const Id* targets,
                           int64_t ignore_index, Acc<T>* result);
template <typename T, typename Id>
void cross_entropy_inplace(Cuda, MatrixView<T> logits, int64_t classes, const Id* targets,
                           int64_t ignore_index, Acc<T>* result);

/// x[i] *= *factor for `count` elements; reads and writes nothing where *factor is 1, which nobody
/// has to wait to know.
template <typename T>
void scale_by(Cpu, T* x, int64_t count, const Acc<T>* factor);
template <typename T>
void scale_by(Cuda, T* x, int64_t count, const Acc<T>* factor);

}  // namespace trireme::kernels
