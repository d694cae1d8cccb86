// checkpoint(): computing again instead of keeping.
//
//   for (const Block& block : blocks) {
//     x = checkpoint([&](const std::vector<Tensor>& in) { return block.forward(in[0]); }, {x});
//   }
//
// Ops inside keep nothing for their gradients; the region keeps its inputs. When backward first
// asks for one of its tensors, the region runs again, up to the last tensor that is still wanted.
// Memory falls from all activations to the regions' inputs and the activations of one region; a
// region costs a second forward. Chen et al., "Training deep nets with sublinear memory cost",
// 2016.
//
// The graph is the one that forward recorded: hooks fire as without checkpoint, grad(),
// retain_graph, create_graph and unused parameters mean what they always mean, and regions nest.
// Threads may checkpoint each a graph of its own; a region runs again on the thread that called
// backward, under that thread's guards but for Autocast and recording.

#pragma once

#include <functional>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

/// fn(inputs), computed again in backward. Just that where nothing is recorded.
///
/// fn must do the same when it runs again, with what it captures, which must live until backward:
/// call the same ops on the same values. Random numbers are those of the first run, whatever
/// became of the generators since, and the generators do not move; Autocast is as it was. What is
/// written in place (running statistics) is written twice. Backward throws where the second run
/// keeps tensors of other shapes, dtypes or number, or draws other random numbers. Requires that
/// fn's result is defined.
Tensor checkpoint(std::function<Tensor(const std::vector<Tensor>&)> fn,
                  const std::vector<Tensor>& inputs);
/// The same with several results, which may be undefined.
std::vector<Tensor> checkpoint(std::function<std::vector<Tensor>(const std::vector<Tensor>&)> fn,
                               const std::vector<Tensor>& inputs);

}  // namespace trireme
