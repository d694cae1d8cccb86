// A leaf's gradient may live in memory that someone else provides: the reducer's bucket.
//
// zero_grad() starts a new epoch and touches no memory; the first contribution of an epoch
// overwrites the slot, later ones add. So there is no memset and the gradient never leaves the
// bucket. Of the epoch only one bit matters, whether the slot was written in the current one.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// From now on `leaf`'s gradient lives in `slot` (same shape, dtype and device, contiguous). A
/// gradient that exists already is moved into it. An undefined slot gives the leaf its own memory
/// back (an existing gradient is copied out).
void set_gradient_slot(const Tensor& leaf, const Tensor& slot);

/// Declares the slot's content to be the leaf's gradient, whatever wrote it: after an all-reduce
/// gave a value to a parameter this rank did not use. Requires a slot.
void mark_gradient_written(const Tensor& leaf);

/// Makes `gradient` the leaf's gradient (copied into the slot if there is one).
void set_gradient(const Tensor& leaf, const Tensor& gradient);

}  // namespace trireme
