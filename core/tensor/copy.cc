#include "core/tensor/copy.h"

#include "core/base/whole_number.h"
#include "core/tensor/create.h"
#include "core/tensor/in_place.h"
#include "core/tensor/raw_view.h"
#include "core/tensor/transfer.h"
#include "core/tensor/view.h"

namespace trireme {

void check_writable(const char* op, const Tensor& dst) {
  require(dst.defined(), op, "the tensor to change is undefined");
  require(!(detail::recording && dst.requires_grad()), op,
          "cannot change a tensor in place that requires a gradient, here ", dst.dtype(),
          dst.shape(), "; use NoGrad, detach(), or the op that returns a new tensor");
  for (int d = 0; d < dst.rank() && dst.numel() > 1; ++d) {
    require(dst.strides()[d] != 0 || dst.shape()[d] <= 1, op,
            "cannot change a tensor in place whose elements share memory, here ", dst.shape(),
            " with strides ", dst.strides(), "; write into a contiguous copy");
  }
}

void check_source(const char* op, const Tensor& src) {
  require(src.defined(), op, "the source is undefined");
  require(!(detail::recording && src.requires_grad()), op,
          "would lose the gradient of its source; use NoGrad, detach(), or an op that returns a "
          "new tensor");
}

Tensor clone_detached(const Tensor& x) {
  require(x.defined(), "clone_detached", "tensor is undefined");
  const Tensor result = empty_like(x);
  on_device(x.device(),
            [&](auto device) { kernels::copy(device, as_any_view(result), as_const_any_view(x)); });
  return result;
}

Tensor to_contiguous(const Tensor& x) {
  require(x.defined(), "to_contiguous", "tensor is undefined");
  return x.is_contiguous() ? x.detach() : clone_detached(x);
}

Tensor cast(const Tensor& x, DType dtype) {
  require(x.defined(), "cast", "tensor is undefined");
  if (x.dtype() == dtype) return x.detach();
  const Tensor result = empty(x.shape(), {dtype, x.device()});
  on_device(x.device(),
            [&](auto device) { kernels::copy(device, as_any_view(result), as_const_any_view(x)); });
  return result;
}

void copy_inplace(const Tensor& dst, const Tensor& src) {
  check_writable("copy_inplace", dst);
  check_source("copy_inplace", src);
  if (src.device() != dst.device()) {
    copy_between_devices(dst, src.shape() == dst.shape() ? src : views::expand(src, dst.shape()));
    dst.bump_version();
    return;
  }
  dst.bump_version();
  if (src.shape() == dst.shape()) {
    on_device(dst.device(), [&](auto device) {
      kernels::copy(device, as_any_view(dst), as_const_any_view(src));
    });
    return;
  }
  require(broadcast_shapes("copy_inplace", src.shape(), dst.shape()) == dst.shape(), "copy_inplace",
          "cannot broadcast ", src.shape(), " to ", dst.shape());
  const Strides strides = broadcast_strides(src.shape(), src.strides(), dst.shape());
  on_device(dst.device(), [&](auto device) {
    kernels::copy(device, as_any_view(dst), {src.raw_data(), src.dtype(), dst.shape(), strides});
  });
}

void fill_inplace(const Tensor& dst, double value) {
  check_writable("fill_inplace", dst);
  check_holds("fill_inplace", dst.dtype(), value);
  dst.bump_version();
  on_device(dst.device(), [&](auto device) { kernels::fill(device, as_any_view(dst), value); });
}

void accumulate_inplace(const Tensor& dst, const Tensor& src, double alpha) {
  check_writable("accumulate_inplace", dst);
  check_source("accumulate_inplace", src);
  require(src.shape() == dst.shape() && src.dtype() == dst.dtype(), "accumulate_inplace",
          "needs equal shapes and dtypes, got ", dst.dtype(), dst.shape(), " and ", src.dtype(),
          src.shape());
  require(src.device() == dst.device(), "accumulate_inplace", "devices differ, ", dst.device(),
          " and ", src.device(), "; move one with to()");
  dst.bump_version();
  on_device(dst.device(), [&](auto device) {
    kernels::add_scaled_inplace(device, as_any_view(dst), as_const_any_view(src), alpha);
  });
}

}  // namespace trireme
