#include "kernels/softmax.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

/// y = kernel(x) by rows.
template <typename Kernel>
Tensor by_rows(const char* op, const Tensor& x, const Kernel& kernel) {
  const Tensor packed = dense(x);
  Tensor y = empty(x.shape(), {x.dtype(), x.device()});
  dispatch_floating(op, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(),
              [&](auto device) { kernel(device, as_rows<const T>(packed), as_rows<T>(y)); });
  });
  return y;
}

/// dx = kernel(y, dy) by rows.
template <typename Kernel>
Tensor by_rows(const char* op, const Tensor& y, const Tensor& dy, const Kernel& kernel) {
  const Tensor packed = dense(dy);
  Tensor dx = empty_like(y);
  dispatch_floating(op, y.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(y.device(), [&](auto device) {
      kernel(device, as_rows<const T>(y), as_rows<const T>(packed), as_rows<T>(dx));
    });
  });
  return dx;
}

/// The op along any dimension, by the one along the last: rows are contiguous in memory.
template <typename Op>
Tensor along(const Tensor& x, int dim, const Op& op) {
  return contiguous(transpose(op(contiguous(transpose(x, dim, -1))), dim, -1));
}

Tensor softmax_last(const Tensor& x) {
  Tensor y = by_rows("softmax", x, [](auto... args) { kernels::softmax(args...); });
  return attach(differentiable("softmax"), y, wrt(x, [y = save_output(y)](const Tensor& dy) {
                  if (is_recording()) return y() * (dy - sum(dy * y(), -1, KeepDim::kYes));
                  return by_rows("softmax", y(), dy,
                                 [](auto... args) { kernels::softmax_backward(args...); });
                }));
}

Tensor log_softmax_last(const Tensor& x) {
  Tensor y = by_rows("log_softmax", x, [](auto... args) { kernels::log_softmax(args...); });
  return attach(differentiable("log_softmax"), y, wrt(x, [y = save_output(y)](const Tensor& dy) {
                  if (is_recording()) return dy - exp(y()) * sum(dy, -1, KeepDim::kYes);
                  return by_rows("log_softmax", y(), dy,
                                 [](auto... args) { kernels::log_softmax_backward(args...); });
                }));
}

}  // namespace

Tensor softmax(const Tensor& x, int dim) {
  if (const auto in = detail::autocast<"softmax">(x)) return softmax(in[0], dim);
  detail::check_operand("softmax", x);
  const int d = normalize_dim("softmax", dim, x.rank());
  return d == x.rank() - 1 ? softmax_last(x) : along(x, d, softmax_last);
}

Tensor log_softmax(const Tensor& x, int dim) {
  if (const auto in = detail::autocast<"log_softmax">(x)) return log_softmax(in[0], dim);
  detail::check_operand("log_softmax", x);
  const int d = normalize_dim("log_softmax", dim, x.rank());
  return d == x.rank() - 1 ? log_softmax_last(x) : along(x, d, log_softmax_last);
}

}  // namespace trireme
