#include "core/tensor/create.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "core/base/device_tag.h"
#include "core/base/whole_number.h"
#include "core/tensor/copy.h"
#include "core/tensor/transfer.h"
#include "kernels/random.h"
#include "kernels/range.h"

namespace trireme {

Tensor empty(const Shape& shape, TensorOptions options) {
  constexpr int64_t kMostElements = std::numeric_limits<int64_t>::max() / 16;  // 8 bytes each
  const std::optional<int64_t> count = shape.checked_product();
  require(count && *count <= kMostElements, "empty",
          "extents must not be negative, nor give more elements than any memory holds, got ",
          shape);
  return Tensor(Storage::allocate(*count * size_of(options.dtype), options.device), 0, shape,
                contiguous_strides(shape), options.dtype);
}

namespace {

TensorOptions options_of(const char* op, const Tensor& like) {
  require(like.defined(), op, "tensor is undefined");
  return {like.dtype(), like.device()};
}

}  // namespace

Tensor empty_like(const Tensor& like) {
  const TensorOptions options = options_of("empty_like", like);
  return empty(like.shape(), options);
}

Tensor full(const Shape& shape, double value, TensorOptions options) {
  check_holds("full", options.dtype, value);
  Tensor result = empty(shape, options);
  fill_inplace(result, value);
  return result;
}

Tensor zeros(const Shape& shape, TensorOptions options) { return full(shape, 0, options); }
Tensor ones(const Shape& shape, TensorOptions options) { return full(shape, 1, options); }
Tensor zeros_like(const Tensor& like) {
  const TensorOptions options = options_of("zeros_like", like);
  return zeros(like.shape(), options);
}
Tensor ones_like(const Tensor& like) {
  const TensorOptions options = options_of("ones_like", like);
  return ones(like.shape(), options);
}
Tensor scalar(double value, TensorOptions options) { return full({}, value, options); }

namespace {

Tensor in_range(const kernels::Range& range, TensorOptions options) {
  Tensor result = empty({range.count}, options);
  on_device(options.device, [&](auto device) {
    kernels::fill_range(device, options.dtype, range, result.raw_data());
  });
  return result;
}

}  // namespace

Tensor arange(int64_t count, TensorOptions options) {
  require(count >= 0, "arange", "count must not be negative, got ", count);
  return in_range({0, 1, 0, count, count}, options);
}

Tensor arange(double begin, double end, double step, TensorOptions options) {
  require(std::isfinite(begin) && std::isfinite(end) && std::isfinite(step) && step != 0, "arange",
          "needs finite numbers and a step other than 0, got ", begin, ", ", end, ", ", step);
  require(is_floating(options.dtype) || (begin == std::trunc(begin) && step == std::trunc(step)),
          "arange", options.dtype, " elements need whole numbers, got ", begin, ", ", step);
  const double count = std::max(std::ceil((end - begin) / step), 0.0);
  constexpr double kMost = 1LL << 53;
  require(count < kMost, "arange", "would have ", count, " elements");
  const auto whole = static_cast<int64_t>(count);
  return in_range({begin, step, 0, whole, whole}, options);
}

Tensor linspace(double begin, double end, int64_t count, TensorOptions options) {
  require(count >= 0, "linspace", "count must not be negative, got ", count);
  require(is_floating(options.dtype), "linspace", "needs a floating-point dtype, got ",
          options.dtype);
  const double step = count > 1 ? (end - begin) / static_cast<double>(count - 1) : 0;
  return in_range({begin, step, end, count, (count + 1) / 2}, options);
}

Tensor rand(const Shape& shape, Generator& generator, TensorOptions options) {
  Tensor result = empty(shape, options);
  const uint64_t first = generator.reserve(static_cast<uint64_t>(result.numel()));
  dispatch_floating("rand", options.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(options.device, [&](auto device) {
      kernels::fill_uniform(device, result.data<T>(), result.numel(), generator.seed(), first);
    });
  });
  return result;
}

Tensor randn(const Shape& shape, Generator& generator, TensorOptions options) {
  Tensor result = empty(shape, options);
  const uint64_t first = generator.reserve(static_cast<uint64_t>(result.numel()));
  dispatch_floating("randn", options.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(options.device, [&](auto device) {
      kernels::fill_normal(device, result.data<T>(), result.numel(), generator.seed(), first);
    });
  });
  return result;
}

template <typename T>
Tensor from_span(std::span<const T> values, const Shape& shape, Device device) {
  const auto count = static_cast<int64_t>(values.size());
  require(count == shape.product(), "from_span", "shape ", shape, " needs ", shape.product(),
          " values, got ", count);
  Tensor result = empty(shape, {dtype_of<T>, {}});
  if (count > 0) std::memcpy(result.data<T>(), values.data(), values.size_bytes());
  return to_device(result, device);
}
template Tensor from_span(std::span<const double>, const Shape&, Device);
template Tensor from_span(std::span<const float>, const Shape&, Device);
template Tensor from_span(std::span<const BFloat16>, const Shape&, Device);
template Tensor from_span(std::span<const Float16>, const Shape&, Device);
template Tensor from_span(std::span<const int64_t>, const Shape&, Device);
template Tensor from_span(std::span<const int32_t>, const Shape&, Device);
template Tensor from_span(std::span<const uint8_t>, const Shape&, Device);
template Tensor from_span(std::span<const bool>, const Shape&, Device);

}  // namespace trireme
