// Softmax and log-softmax over the columns of each row, and their gradients.
//
// All views have the same extents; outputs may alias inputs row by row. Each element of x is read
// from memory once: a row stays in the cache between the passes over it.

#pragma once

#include "kernels/device_tag.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// y[r, c] = exp(x[r, c]) / sum_c exp(x[r, c]), with the row's largest element taken out first.
void softmax(Cpu, MatrixView<const float> x, MatrixView<float> y);
void softmax(Cpu, MatrixView<const double> x, MatrixView<double> y);
/// dx = y (dy - sum_c(y dy)).
void softmax_backward(Cpu, MatrixView<const float> y, MatrixView<const float> dy,
                      MatrixView<float> dx);
void softmax_backward(Cpu, MatrixView<const double> y, MatrixView<const double> dy,
                      MatrixView<double> dx);

/// y[r, c] = x[r, c] - log sum_c exp(x[r, c]).
void log_softmax(Cpu, MatrixView<const float> x, MatrixView<float> y);
void log_softmax(Cpu, MatrixView<const double> x, MatrixView<double> y);
/// dx = dy - exp(y) sum_c(dy).
void log_softmax_backward(Cpu, MatrixView<const float> y, MatrixView<const float> dy,
                          MatrixView<float> dx);
void log_softmax_backward(Cpu, MatrixView<const double> y, MatrixView<const double> dy,
                          MatrixView<double> dx);

}  // namespace trireme::kernels
