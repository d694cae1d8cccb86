// Gradients that are linear in dy and their own transpose: dy times constants, element by element.

#pragma once

#include "core/autograd/attach.h"

namespace trireme::detail {

/// map(dy), where map multiplies each element by a number that no gradient flows to: dropping,
/// halving, scaling. The gradient of such a map is the map again, and so can be differentiated
/// without end. `map` returns a tensor without history and is copied into the graph.
template <typename Map>
Tensor self_adjoint(const char* op, const Tensor& dy, const Map& map) {
  Tensor dx = map(dy);
  if (!is_recording()) return dx;
  return attach(differentiable(op), std::move(dx),
                wrt(dy, [op, map](const Tensor& d) { return self_adjoint(op, d, map); }));
}

}  // namespace trireme::detail
