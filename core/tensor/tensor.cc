#include "core/tensor/tensor.h"

#include "core/tensor/copy.h"
#include "core/tensor/transfer.h"

namespace trireme {

Tensor::Tensor(Ref<Storage> storage, int64_t offset, const Shape& shape, const Strides& strides,
               DType dtype)
    : impl_(Ref<Impl>::adopt(new Impl)) {
  impl_->storage = std::move(storage);
  impl_->offset = offset;
  impl_->shape = shape;
  impl_->strides = strides;
  impl_->numel = shape.product();
  impl_->dtype = dtype;
  impl_->contiguous = trireme::is_contiguous(shape, strides);
}

int64_t Tensor::size(int dim) const { return shape()[normalize_dim("size", dim, rank())]; }

void* Tensor::raw_data() const {
  return static_cast<char*>(impl_->storage->data()) + impl_->offset * size_of(dtype());
}

double Tensor::item() const {
  require(defined() && numel() == 1, "item", "needs exactly one element, got ",
          defined() ? concat("shape ", shape()) : "an undefined tensor");
  if (!device().is_cpu()) return to_device(*this, Device{}).item();
  return dispatch_dtype(dtype(), [&](auto tag) {
    return static_cast<double>(*data<typename decltype(tag)::type>());
  });
}

template <typename T>
std::vector<T> Tensor::to_vector() const {
  require(defined(), "to_vector", "tensor is undefined");
  const Tensor dense = to_device(to_contiguous(cast(*this, dtype_of<T>)), Device{});
  const T* first = dense.data<T>();
  return std::vector<T>(first, first + numel());
}
template std::vector<double> Tensor::to_vector<double>() const;
template std::vector<float> Tensor::to_vector<float>() const;
template std::vector<BFloat16> Tensor::to_vector<BFloat16>() const;
template std::vector<Float16> Tensor::to_vector<Float16>() const;
template std::vector<int64_t> Tensor::to_vector<int64_t>() const;
template std::vector<int32_t> Tensor::to_vector<int32_t>() const;
template std::vector<uint8_t> Tensor::to_vector<uint8_t>() const;
template std::vector<bool> Tensor::to_vector<bool>() const;

Tensor Tensor::grad() const {
  require(defined(), "grad", "tensor is undefined");
  return impl_->meta ? impl_->meta->grad() : Tensor();
}

void Tensor::zero_grad() {
  require(defined(), "zero_grad", "tensor is undefined");
  if (impl_->meta) impl_->meta->zero_grad();
}

void Tensor::take_elements_of(const Tensor& other) {
  require(!requires_grad() && other.shape() == shape(), "take_elements_of",
          "needs tensors of one shape, the first without gradient, got ", dtype(), shape(), " and ",
          other.dtype(), other.shape());
  impl_->dtype = other.impl_->dtype;
  impl_->storage = other.impl_->storage;
  impl_->offset = other.impl_->offset;
  impl_->strides = other.impl_->strides;
  impl_->contiguous = other.impl_->contiguous;
}

Tensor Tensor::detach() const {
  require(defined(), "detach", "tensor is undefined");
  Tensor result(impl_->storage, impl_->offset, shape(), strides(), dtype());
  return result;
}

}  // namespace trireme
