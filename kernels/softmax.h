// Softmax and log-softmax over the columns of each row, and their gradients.
//
// All views have the same extents; outputs may alias inputs row by row. Each element of x is read
// from memory once: a row stays in the cache between the passes over it.

#pragma once

#include "core/base/device_tag.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// y[r, c] = exp(x[r, c]) / sum_c exp(x[r, c]), with the row's largest element taken out first.
template <typename T>
void softmax(Cpu, MatrixView<const T> x, MatrixView<T> y);
template <typename T>
void softmax(Cuda, MatrixView<const T> x, MatrixView<T> y);
/// dx = y (dy - sum_c(y dy)).
template <typename T>
void softmax_backward(Cpu, MatrixView<const T> y, MatrixView<const T> dy, MatrixView<T> dx);
template <typename T>
void softmax_backward(Cuda, MatrixView<const T> y, MatrixView<const T> dy, MatrixView<T> dx);

/// y[r, c] = x[r, c] - log sum_c exp(x[r, c]).
template <typename T>
void log_softmax(Cpu, MatrixView<const T> x, MatrixView<T> y);
template <typename T>
void log_softmax(Cuda, MatrixView<const T> x, MatrixView<T> y);
/// dx = dy - exp(y) sum_c(dy).
template <typename T>
void log_softmax_backward(Cpu, MatrixView<const T> y, MatrixView<const T> dy, MatrixView<T> dx);
template <typename T>
void log_softmax_backward(Cuda, MatrixView<const T> y, MatrixView<const T> dy, MatrixView<T> dx);

}  // namespace trireme::kernels
