// What a tensor knows of autograd: one handle to an object that core/autograd implements.

#pragma once

#include "core/base/ref.h"

namespace trireme {

class Tensor;

/// Behind a leaf: its gradient and hooks. Behind the result of an op: the graph node that made it.
class AutogradMeta : public RefCounted {
 public:
  /// "mul" for the result of mul; "leaf" for a leaf.
  virtual const char* name() const = 0;
  virtual bool is_leaf() const = 0;
  /// A leaf's accumulated gradient; undefined before backward, after zero_grad and for non-leaves
  /// (unless retain_grad was asked for).
  virtual Tensor grad() const = 0;
  virtual void zero_grad() = 0;
};

namespace detail {
/// Whether ops on this thread record history; the guards of core/autograd/no_grad.h switch it. It
/// stands here because in-place copies must know too.
inline constinit thread_local bool recording = true;
/// Whether memory that this thread allocates is for inference only (InferenceMode).
inline constinit thread_local bool inference = false;
}  // namespace detail

}  // namespace trireme
