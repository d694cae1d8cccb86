// Tensors from one device to another, and numbers read from a device without waiting for it.

#pragma once

#include <memory>

#include "core/tensor/tensor.h"

namespace trireme {

/// x's elements on `device`, without history; x itself where it lies there already. To a CUDA
/// device the copy is queued on the current stream and x may be changed at once; to the CPU it
/// waits.
Tensor to_device(const Tensor& x, Device device);

/// dst[...] = src[...] where the two lie on different devices: same shape, any strides and dtypes.
/// Does not bump dst's version (copy_inplace does).
void copy_between_devices(const Tensor& dst, const Tensor& src);

/// One number of a step, read a step late: reading it at once would wait for the device and drain
/// its queue.
///
///   DelayedScalar loss;
///   for (...) { ... if (loss.is_set()) report(loss.get()); loss.set(step_loss); }
class DelayedScalar {
 public:
  /// Queues the copy of x's only element; x may be freed at once. Replaces what was set before.
  void set(const Tensor& x);
  bool is_set() const { return is_set_; }
  /// Waits for the copy where it is not done yet. Requires is_set().
  double get() const;

 private:
  double value_ = 0;                  // of a CPU tensor
  std::shared_ptr<const void> copy_;  // a cuda::HostCopy, or null
  DType dtype_ = DType::kF32;
  bool is_set_ = false;
};

}  // namespace trireme
