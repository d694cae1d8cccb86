// Tensors as the raw views that type-erased kernels take. Valid while the tensor is.

#pragma once

#include "core/tensor/tensor.h"
#include "kernels/fill_copy.h"

namespace trireme {

inline kernels::AnyView as_any_view(const Tensor& x) {
  return {x.raw_data(), x.dtype(), x.shape(), x.strides()};
}
inline kernels::ConstAnyView as_const_any_view(const Tensor& x) {
  return {x.raw_data(), x.dtype(), x.shape(), x.strides()};
}

}  // namespace trireme
