// Where a formula writes the gradient of an input: straight to where the input will keep it.
//
// A leaf whose gradient lives in a slot (gradient_slot.h) has the memory already. A formula that
// asks here for its result's memory writes it in place, and the leaf has nothing to copy:
//
//   wrt(weight, [x = save(x), home = GradientHome(weight)](const Tensor& dy) {
//     Tensor dweight = home.empty({x().size(-1), dy.size(-1)}, {dy.dtype(), dy.device()});
//     ...                                     // overwrites all of dweight
//     return dweight;
//   })
//
// Nothing depends on it: a formula that returns memory of its own is as right, at a copy more.

#pragma once

#include "core/autograd/node.h"
#include "core/tensor/create.h"

namespace trireme {

/// Belongs into the formula of the op whose input it is of: that op's node keeps the leaf alive.
class GradientHome {
 public:
  GradientHome() = default;
  explicit GradientHome(const Tensor& input) {
    if (input && input.requires_grad()) *this = GradientHome(*edge_to(input));
  }
  explicit GradientHome(Node& edge) {
    if (edge.is_leaf()) leaf_ = static_cast<LeafNode*>(&edge);
  }

  /// Uninitialised, contiguous memory of the running backward, for one result of one formula, which
  /// writes every element of it and returns it as it is: the leaf's slot, if that fits and was not
  /// written in its present epoch, else fresh memory.
  Tensor empty(const Shape& shape, TensorOptions options) const {
    if (leaf_) {
      if (Tensor slot = leaf_->offer_slot(shape, options.dtype, options.device); slot) return slot;
    }
    return trireme::empty(shape, options);
  }

 private:
  LeafNode* leaf_ = nullptr;  // null: the input is no leaf that needs a gradient
};

}  // namespace trireme
