// One layer of a recurrent network in one direction; core/nn/recurrent.h stacks them.
//
// x is [batch, time, in], results y [batch, time, hidden] and the last states [batch, hidden]. y is
// a view of memory in which time is the first dimension: a next layer reads it in place. The
// input's part of all steps is one product; a step then is a product with the state and one kernel.
// On CUDA a layer without lengths may instead be cuDNN's, whichever is faster for its shape
// (docs/gpu.md, TRIREME_CUDNN_OR_OWN).

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// Weights of a layer, the transposes of torch's: G is the number of gates of the cell, in torch's
/// order.
struct RecurrentWeights {
  Tensor input;                    // [in, G hidden]
  Tensor hidden;                   // [hidden, G hidden]
  Tensor input_bias, hidden_bias;  // [G hidden]; both or neither
};

enum class TimeOrder { kForward, kBackward };

struct RecurrentOptions {
  /// i64 or i32 [batch], where x lies: sequence b consists of x[b, 0 .. lengths[b]). y is zero
  /// behind it, and its last state is that of its own last step. Undefined: all are as long as x.
  Tensor lengths = {};
  /// kBackward starts with the last step of each sequence; y stays in the order of x.
  TimeOrder order = TimeOrder::kForward;
};

struct LstmResult {
  Tensor y, h, c;
};
/// Long short-term memory, 4 gates i, f, g, o. h0 and c0 [batch, hidden], undefined: zeros.
LstmResult lstm(const Tensor& x, const RecurrentWeights& weights, const Tensor& h0 = {},
                const Tensor& c0 = {}, const RecurrentOptions& options = {});

struct RecurrentResult {
  Tensor y, h;
};
/// Gated recurrent unit, 3 gates r, z, n; the reset gate acts on the product with the state.
RecurrentResult gru(const Tensor& x, const RecurrentWeights& weights, const Tensor& h0 = {},
                    const RecurrentOptions& options = {});

enum class Nonlinearity { kTanh, kRelu };
/// h = tanh(x input + h hidden + biases).
RecurrentResult rnn(const Tensor& x, const RecurrentWeights& weights, const Tensor& h0 = {},
                    Nonlinearity nonlinearity = Nonlinearity::kTanh,
                    const RecurrentOptions& options = {});

}  // namespace trireme
