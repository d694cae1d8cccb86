// backward() and grad(): run the recorded graph from results to where gradients are wanted.
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
  /// The gradients have a history themselves and can be differentiated again. Implies retain_graph.
  /// A leaf's gradient and the leaf then keep each other alive until zero_grad(); grad() makes no
  /// such cycle.
  bool create_graph = false;
};

/// Adds dLoss/dleaf into the gradient of every leaf `y` depends on. `y` must need a gradient and be
/// a scalar, or options.gradient must be given with y's shape and dtype.
void backward(const Tensor& y, BackwardOptions options = {});

struct GradOptions {
  /// One per output, as BackwardOptions::gradient; may be left out where all outputs are scalars.
  std::vector<Tensor> output_gradients = {};
  bool retain_graph = false;
  bool create_graph = false;
  /// An input that no output depends on has an undefined gradient; without this it is an error that
  /// names the input.
  bool allow_unused = false;
};

/// The gradients of the sum of all outputs with respect to each input, which may be a leaf or the
/// result of an op. Runs only what leads to an input, changes nobody's grad(), and runs of the
/// hooks those of tensors and, where a formula runs, of nodes. A returned tensor may share memory
/// with others.
std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         GradOptions options = {});

/// Called on this thread when an outermost backward has counted its dependencies and before it runs
/// anything; not by grad(). `is_reached(leaf)` says whether the leaf takes part in this pass. The
/// reducer uses it.
struct BackwardStart {
  std::function<bool(const Tensor& leaf)> is_reached;
};
HookHandle register_backward_start(std::function<void(const BackwardStart&)> listener);

/// Runs `callback` at the end of the outermost backward now running on this thread, after all nodes
/// and in registration order. Requires a running backward.
void queue_backward_callback(std::function<void()> callback);

/// True while backward() or grad() runs on this thread.
bool in_backward();

}  // namespace trireme
