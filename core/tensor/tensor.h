// Tensor: a cheap handle to strided elements on a device, with optional autograd state.
//
// Copying a Tensor copies the handle; both then see the same elements and the same gradient. Views
// (core/tensor/view.h, and the differentiable ones in core/ops) share storage. A
// default-constructed Tensor is undefined: it stands for "no tensor" and for a gradient of zero.
//
// Threads: handles may be passed between threads and dropped anywhere; the elements, the gradient
// and the graph behind one tensor may be used by one thread at a time.

#pragma once

#include <iosfwd>
#include <string_view>
#include <vector>

#include "core/base/device.h"
#include "core/base/dtype.h"
#include "core/base/shape.h"
#include "core/tensor/autograd_meta.h"
#include "core/tensor/storage.h"

namespace trireme {

class Tensor {
 public:
  Tensor() = default;
  /// A tensor over `storage`, `offset` elements in. Rarely called by users: see create.h.
  Tensor(Ref<Storage> storage, int64_t offset, const Shape& shape, const Strides& strides,
         DType dtype);

  bool defined() const { return static_cast<bool>(impl_); }
  explicit operator bool() const { return defined(); }

  // The following require defined().
  const Shape& shape() const { return impl_->shape; }
  const Strides& strides() const { return impl_->strides; }
  int rank() const { return impl_->shape.rank(); }
  /// Extent of a dimension; negative counts from the end.
  int64_t size(int dim) const;
  int64_t numel() const { return impl_->numel; }
  int64_t nbytes() const { return numel() * size_of(dtype()); }
  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->storage->device(); }
  bool is_contiguous() const { return impl_->contiguous; }
  const Ref<Storage>& storage() const { return impl_->storage; }
  int64_t offset() const { return impl_->offset; }  // elements from the start of the storage

  /// First element, an address of the tensor's device. T must be the dtype's C++ type.
  template <typename T>
  T* data() const {
    require(dtype_of<T> == dtype(), "data", "tensor is ", dtype(), " but was read as ",
            dtype_of<T>);
    return static_cast<T*>(impl_->storage->data()) + impl_->offset;
  }
  void* raw_data() const;

  /// All handles to this tensor object see other's elements from now on, of other's dtype and on
  /// its device. Requires equal shapes, and that this needs no gradient.
  void take_elements_of(const Tensor& other);

  /// The single element as a double. Requires numel() == 1. Waits for a CUDA device, as to_vector()
  /// and printing do; see DelayedScalar in core/tensor/transfer.h.
  double item() const;
  /// All elements in row-major order, converted to T.
  template <typename T>
  std::vector<T> to_vector() const;

  // --- autograd ---------------------------------------------------------------------------------

  /// True for a leaf that wants a gradient and for every result that depends on one.
  bool requires_grad() const { return static_cast<bool>(impl_->meta); }
  /// Makes this a leaf that collects gradients (or stops it). Requires a floating dtype, and that
  /// this is not the result of an op. Returns *this for chaining.
  Tensor& set_requires_grad(bool value = true);
  /// Name of the op that made this, "mul"; empty for leaves and for what needs no gradient.
  std::string_view grad_fn_name() const { return is_leaf() ? "" : impl_->meta->name(); }
  bool is_leaf() const { return !impl_->meta || impl_->meta->is_leaf(); }
  /// The leaf's accumulated gradient, or an undefined tensor.
  Tensor grad() const;
  /// Forgets the gradient; the next backward starts anew.
  void zero_grad();
  /// The same elements and version, without history: no gradient flows through the result.
  Tensor detach() const;
  /// The autograd state; null if this tensor needs no gradient.
  const Ref<AutogradMeta>& autograd_meta() const { return impl_->meta; }
  void set_autograd_meta(Ref<AutogradMeta> meta) { impl_->meta = std::move(meta); }

  /// Counts in-place changes of the elements, over all views.
  uint32_t version() const { return impl_->storage->version(); }
  void bump_version() const { impl_->storage->bump_version(); }

  /// Two handles to the same tensor object (not: equal elements).
  bool is_same(const Tensor& other) const { return impl_ == other.impl_; }
  /// True if no other handle sees this object or its storage: its memory may be taken over.
  bool is_sole_owner() const { return impl_->is_sole_owner() && impl_->storage->is_sole_owner(); }

 private:
  struct Impl final : RefCounted {
    Ref<Storage> storage;
    Ref<AutogradMeta> meta;
    int64_t offset = 0;
    int64_t numel = 0;
    Shape shape;
    Strides strides;
    DType dtype = DType::kF32;
    bool contiguous = true;
  };
  Ref<Impl> impl_;
};

/// Prints `Tensor f32[2, 3] {{1, 2, 3}, {4, 5, 6}}`; long dimensions are shortened with `...`.
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

}  // namespace trireme
