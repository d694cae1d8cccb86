// A leaf's gradient may live in memory that someone else provides: the reducer's bucket.
//
// zero_grad() starts a new epoch and touches no memory; the first contribution of an epoch
// overwrites the slot, later ones add. So there is no memset and the gradient never leaves the
// bucket. Of the epoch only one bit matters, whether the slot was written in the current one.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

class LeafNode;

/// Held by the one who provides the memory of a leaf's gradient; a leaf has at most one. Keeps the
/// leaf's autograd state alive, whatever becomes of the tensor.
class GradientSlot {
 public:
  /// Requires a leaf that needs a gradient and has no slot. Until set(), the gradient stays where
  /// it is.
  explicit GradientSlot(const Tensor& leaf);
  /// The leaf gets memory of its own again and its gradient is copied there; with no memory left it
  /// is forgotten.
  ~GradientSlot();
  GradientSlot(GradientSlot&& other) noexcept;

  /// From now on the gradient lives in `memory` (same shape, dtype and device as the leaf,
  /// contiguous). A gradient that exists already is moved into it.
  void set(const Tensor& memory);
  /// Declares the memory's content to be the gradient, whatever wrote it: after an all-reduce gave
  /// a value to a parameter this rank did not use. Requires set().
  void mark_written();
  /// Forgets the gradient; as zero_grad(), but also after the tensor was frozen.
  void forget();
  /// False once `tensor` was frozen, even if it is trained again: its gradient is another one then.
  bool belongs_to(const Tensor& tensor) const;

 private:
  Ref<LeafNode> leaf_;  // null after a move
};

/// True if a GradientSlot of `tensor` exists.
bool has_gradient_slot(const Tensor& tensor);

/// Makes `gradient` the leaf's gradient (copied into the slot if there is one).
void set_gradient(const Tensor& leaf, const Tensor& gradient);

}  // namespace trireme
