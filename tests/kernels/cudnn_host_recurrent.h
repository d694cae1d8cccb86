// A recurrent layer of one direction on host memory, as cuDNN's manual defines it: gates one after
// another, no products of matrices; slow, and nothing in common with our kernels.

#pragma once

#include <cudnn_adv.h>

#include <vector>

namespace trireme::testing {

/// Weight space is laid out as no library does it, so that nobody can count on an order: the gates
/// of the state in front of the input's, biases in front of matrices, and room between any two.
struct HostRecurrent {
  cudnnRNNMode_t mode;
  bool has_bias;
  cudnnDataType_t type;
  int64_t steps, batch, in, hidden;

  int64_t gates() const { return mode == CUDNN_LSTM ? 4 : mode == CUDNN_GRU ? 3 : 1; }
  /// In elements; `number` counts the input's gates, then the state's. -1: there is no bias.
  int64_t matrix_at(int64_t number) const;
  int64_t bias_at(int64_t number) const;
  int64_t weight_count() const;
  /// Doubles in reserve space: what a step leaves for its gradient, 8 per unit, behind a mark that
  /// says who wrote last.
  int64_t reserve_count() const { return 1 + 8 * steps * batch * hidden; }
};

struct HostRecurrentForward {
  const void *x, *h0, *c0, *weights;
  void *y, *h, *c;
  double* reserve;  // null: no gradient is to come
};
void run_forward(const HostRecurrent& layer, const HostRecurrentForward& f);

/// Leaves the gradients of the gates in the reserve, in the place of what forward left there.
struct HostRecurrentGradient {
  const void *y, *dy, *h0, *dh, *c0, *dc, *weights;
  void *dx, *dh0, *dc0;
  double* reserve;
};
void run_gradient(const HostRecurrent& layer, const HostRecurrentGradient& g);

/// Adds to dweights.
void run_weight_gradient(const HostRecurrent& layer, const void* x, const void* h0, const void* y,
                         void* dweights, const double* reserve);

}  // namespace trireme::testing
