// A recurrent layer on a GPU as one op of cuDNN's, for core/ops/recurrent.cc.

#pragma once

#include <functional>
#include <optional>

#include "core/ops/recurrent.h"

namespace trireme::detail {

/// x is [T, batch, in]; h0 and (for cells that have one) c0 may be undefined: zeros.
struct LayerOperands {
  Tensor x;
  RecurrentWeights weights;
  Tensor h0, c0;
};

/// y is [T, batch, hidden]; h and c are the last states.
struct LayerStates {
  Tensor y, h, c;
};

/// Nothing where our own kernels are to compute the layer, which `own` does to be timed, in the
/// first call of a shape. cuDNN reads forward in time only: backward, x and y are turned.
template <typename Cell>
std::optional<LayerStates> recurrent_by_cudnn(
    const LayerOperands& in, TimeOrder order,
    const std::function<LayerStates(const LayerOperands&)>& own);

}  // namespace trireme::detail
