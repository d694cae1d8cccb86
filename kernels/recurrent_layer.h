// All steps of a recurrent layer in one call, the input's product included: cuDNN's layers, which
// our own kernels (kernels/recurrent.h and the products around it) are timed against. CUDA only.
//
// Sequences are equally long and read forward in time: cuDNN wants lengths on the host, and waiting
// for them would stop the step.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "core/base/device_tag.h"

namespace trireme::kernels {

enum class RecurrentKind : uint8_t { kLstm, kGru, kTanh, kRelu };

struct RecurrentLayerShape {
  RecurrentKind kind;
  int64_t steps, batch, in, hidden;
  bool has_bias;
  bool trains;  // a gradient is to come

  int64_t gates() const {
    return kind == RecurrentKind::kLstm ? 4 : kind == RecurrentKind::kGru ? 3 : 1;
  }
  /// What errors call the layer.
  const char* op() const {
    return kind == RecurrentKind::kLstm ? "lstm" : kind == RecurrentKind::kGru ? "gru" : "rnn";
  }
};

/// Weights or their gradients; null where there are none, or none are wanted.
template <typename P>
struct RecurrentLayerWeights {
  P input;                    // [in, gates hidden]
  P hidden;                   // [hidden, gates hidden]
  P input_bias, hidden_bias;  // [gates hidden]
};

/// Every pointer is aligned to 16 bytes, every array dense. h0 and c0 may be null: zeros. c is of
/// lstm only.
template <typename T>
struct RecurrentLayer {
  RecurrentLayerShape shape;
  const T* x;  // [steps, batch, in]
  RecurrentLayerWeights<const T*> weights;
  const T *h0, *c0;  // [batch, hidden]
  T* y;              // [steps, batch, hidden]
  T *h, *c;          // [batch, hidden], the last states
};

/// dh0 and dc0 may be null.
template <typename T>
struct RecurrentLayerGradient {
  RecurrentLayerShape shape;
  const T* x;
  RecurrentLayerWeights<const T*> weights;
  const T *h0, *c0, *y;
  const T *dy, *dh, *dc;
  T *dx, *dh0, *dc0;
  RecurrentLayerWeights<T*> dweights;
};

/// A way to compute a layer. Forward fills the reserve where the layer trains; its gradient reads
/// it and goes the same way.
struct RecurrentPlan {
  int algorithm = 0;
  int64_t reserve_bytes = 0;
};

/// How cuDNN is to compute the shape, chosen in its first call; nothing where our own kernels are
/// to: they are faster, or the settings say so, or cuDNN cannot. `own` and `cudnn` compute the
/// layer, and its gradient if it trains; they are called to be timed, several times.
template <typename T>
std::optional<RecurrentPlan> choose_recurrent_plan(
    Cuda device, const RecurrentLayerShape& shape, const std::function<void()>& own,
    const std::function<void(const RecurrentPlan&)>& cudnn);

template <typename T>
void recurrent_layer(Cuda device, const RecurrentPlan& plan, const RecurrentLayer<T>& layer,
                     void* reserve);

/// Leaves the reserve as it was: it can be asked again.
template <typename T>
void recurrent_layer_gradient(Cuda device, const RecurrentPlan& plan,
                              const RecurrentLayerGradient<T>& layer, const void* reserve);

}  // namespace trireme::kernels
