// Runs a pointwise functor over tensors: allocates the result, picks dtype and loop. No history.

#pragma once

#include "core/ops/check.h"
#include "core/tensor/copy.h"
#include "core/tensor/tensor.h"
#include "kernels/arithmetic_dtypes.h"
#include "kernels/pointwise.h"

namespace trireme::detail {

// Inline, because an op on a few elements costs little more than the calls it makes.
template <typename T>
T* elements(const Tensor& x) {
  return static_cast<T*>(x.storage()->data()) + x.offset();
}

// An uninitialised result with the dtype and device of `like`. Not empty(): the shape is known to
// be valid, and packing TensorOptions byte by byte stalls on reading them back as one word.
inline Tensor make_result(const Shape& shape, const Tensor& like) {
  const int64_t bytes = shape.product() * size_of(like.dtype());
  return Tensor(Storage::allocate(bytes, like.device()), 0, shape, contiguous_strides(shape),
                like.dtype());
}

// x, or a dense copy where reading x in place would touch a cache line per element.
inline Tensor readable(const Tensor& x) {
  constexpr int64_t kWorthCopying = 4096;  // elements; below it all lines stay in the first cache
  const bool scattered = x.rank() > 0 && x.strides().back() > 1;
  return scattered && x.numel() >= kWorthCopying ? to_contiguous(x) : x;
}

template <typename T, typename Fn, size_t N>
void map_strided(const Fn& fn, const Tensor& y, const std::array<Tensor, N>& in) {
  std::array<Strides, N> strides;
  std::array<const Strides*, N> pointers;
  std::array<const T*, N> from;
  for (size_t k = 0; k < N; ++k) {
    strides[k] = broadcast_strides(in[k].shape(), in[k].strides(), y.shape());
    pointers[k] = &strides[k];
    from[k] = elements<const T>(in[k]);
  }
  on_device(y.device(), [&](auto device) {
    kernels::map_strided(device, fn, y.shape(), from, pointers, elements<T>(y));
  });
}

template <typename T, typename Fn, typename... Inputs>
void map_into(const Fn& fn, const Tensor& y, const Inputs&... in) {
  constexpr size_t kCount = sizeof...(in);
  // An operand that broadcasts to y and has as many elements has y's shape.
  if (!((in.is_contiguous() && in.numel() == y.numel()) && ...)) {
    return map_strided<T, Fn, kCount>(fn, y, {readable(in)...});
  }
  const std::array<const T*, kCount> from{elements<const T>(in)...};
  on_device(y.device(),
            [&](auto device) { kernels::map(device, fn, from, elements<T>(y), y.numel()); });
}

/// fn over floating operands that broadcast to `shape`.
template <typename Fn, typename... Inputs>
Tensor map_floating(const char* op, const Fn& fn, const Shape& shape, const Tensor& first,
                    const Inputs&... rest) {
  Tensor y = make_result(shape, first);
  dispatch_floating(op, first.dtype(), [&](auto tag) {
    map_into<typename decltype(tag)::type>(fn, y, first, rest...);
  });
  return y;
}

/// fn over floating, i64 or i32 operands that broadcast to `shape`.
template <typename Fn, typename... Inputs>
Tensor map_arithmetic(const char* op, const Fn& fn, const Shape& shape, const Tensor& first,
                      const Inputs&... rest) {
  Tensor y = make_result(shape, first);
  dispatch_arithmetic(op, first.dtype(), [&](auto tag) {
    map_into<typename decltype(tag)::type>(fn, y, first, rest...);
  });
  return y;
}

}  // namespace trireme::detail
