// backward(): runs the recorded graph from a result to the leaves.
//
// The whole pass runs on the calling thread, newest op first; a leaf's accumulation runs as soon as
// its last contribution is there, so accumulate hooks fire as early as possible and in an order
// that depends on the graph only. Nothing recurses: a chain of a million ops works, destruction
// included.

#pragma once

#include <functional>
#include <vector>

#include "core/autograd/hooks.h"
#include "core/tensor/tensor.h"

namespace trireme {

struct BackwardOptions {
  /// dLoss/dy. May be left undefined for a scalar y, where it is 1.
  Tensor gradient = {};
  /// Keeps saved tensors, so that backward can run again over the same graph.
  bool retain_graph = false;
};

/// Adds dLoss/dleaf into the gradient of every leaf `y` depends on. `y` must need a gradient and be
/// a scalar, or options.gradient must be given with y's shape and dtype.
void backward(const Tensor& y, BackwardOptions options = {});

/// Called on this thread when an outermost backward has counted its dependencies and before it runs
/// anything. `is_reached(leaf)` says whether the leaf takes part in this pass. The reducer uses it.
struct BackwardStart {
  std::function<bool(const Tensor& leaf)> is_reached;
};
HookHandle register_backward_start(std::function<void(const BackwardStart&)> listener);

/// Runs `callback` at the end of the outermost backward now running on this thread, after all nodes
/// and in registration order. Requires a running backward.
void queue_backward_callback(std::function<void()> callback);

/// True while backward() runs on this thread.
bool in_backward();

}  // namespace trireme
