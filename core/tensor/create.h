// New tensors. All are contiguous leaves without gradient.

#pragma once

#include <span>
#include <vector>

#include "core/base/philox.h"
#include "core/tensor/tensor.h"

namespace trireme {

struct TensorOptions {
  DType dtype = DType::kF32;
  Device device = {};
};

/// Elements are not initialised.
Tensor empty(const Shape& shape, TensorOptions options = {});
Tensor empty_like(const Tensor& like);
Tensor zeros(const Shape& shape, TensorOptions options = {});
Tensor zeros_like(const Tensor& like);
Tensor ones(const Shape& shape, TensorOptions options = {});
Tensor ones_like(const Tensor& like);
Tensor full(const Shape& shape, double value, TensorOptions options = {});
/// 0, 1, ..., count - 1.
Tensor arange(int64_t count, TensorOptions options = {DType::kI64});
/// begin, begin + step, ... as long as they do not reach `end`. Integers refuse a begin or step
/// that is not whole.
Tensor arange(double begin, double end, double step = 1, TensorOptions options = {});
/// `count` numbers evenly spaced from begin to end, both exact.
Tensor linspace(double begin, double end, int64_t count, TensorOptions options = {});
/// Uniform in [0, 1), and standard normal; element i uses counter i, so the result does not depend
/// on the number of threads. Advances the generator.
Tensor rand(const Shape& shape, Generator& generator, TensorOptions options = {});
Tensor randn(const Shape& shape, Generator& generator, TensorOptions options = {});
/// Copies `values`, in row-major order. Requires values.size() == shape.product(). The dtype is
/// T's.
template <typename T>
Tensor from_span(std::span<const T> values, const Shape& shape, Device device = {});
template <typename T>
Tensor from_vector(const std::vector<T>& values, const Shape& shape, Device device = {}) {
  return from_span(std::span<const T>(values), shape, device);
}
/// A rank-0 tensor.
Tensor scalar(double value, TensorOptions options = {});

}  // namespace trireme
