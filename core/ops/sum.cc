// Sums and means. The gradient of a sum is dy repeated: a view with strides of 0, no memory.

#include "core/autograd/attach.h"
#include "core/ops/autocast.h"
#include "core/ops/dims.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/tensor/view.h"
#include "kernels/reduce.h"

namespace trireme {
namespace {

using detail::all_dim_bits;
using detail::dim_bits;

/// scale * sum over the dimensions whose bits are set.
Tensor reduced(const char* op, const Tensor& x, uint32_t dims, KeepDim keep, double scale) {
  Shape kept, ones = x.shape();  // without the reduced dimensions, and with extents of 1 for them
  for (int d = 0; d < x.rank(); ++d) {
    if (dims >> d & 1) {
      ones[d] = 1;
    } else {
      kept.push_back(x.shape()[d]);
    }
  }
  Tensor y = dispatch_dtype(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Sum = kernels::SumOf<T>;
    const Tensor result = empty(keep == KeepDim::kYes ? ones : kept, {dtype_of<Sum>, x.device()});
    on_device(x.device(), [&](auto device) {
      kernels::sum<T>(device, {x.data<T>(), x.shape(), x.strides()}, dims, scale,
                      result.data<Sum>());
    });
    return result;
  });
  return attach(differentiable(op), y, wrt(x, [ones, shape = x.shape(), scale](const Tensor& dy) {
                  const Tensor each = scale == 1 ? dy : mul(dy, scale);
                  if (is_recording()) return expand(reshape(each, ones), shape);
                  return views::expand(views::reshape(each, ones), shape);
                }));
}

Tensor averaged(const Tensor& x, uint32_t dims, KeepDim keep) {
  require(is_floating(x.dtype()), "mean", "needs a floating-point dtype, got ", x.dtype());
  double count = 1;
  for (int d = 0; d < x.rank(); ++d) {
    if (dims >> d & 1) count *= static_cast<double>(x.shape()[d]);
  }
  return reduced("mean", x, dims, keep, 1 / count);
}

}  // namespace

Tensor sum(const Tensor& x) {
  if (const auto in = detail::autocast<"sum">(x)) return sum(in[0]);
  detail::check_operand("sum", x);
  return reduced("sum", x, all_dim_bits(x.shape()), KeepDim::kNo, 1);
}

Tensor sum(const Tensor& x, std::span<const int> dims, KeepDim keep) {
  if (const auto in = detail::autocast<"sum">(x)) return sum(in[0], dims, keep);
  detail::check_operand("sum", x);
  return reduced("sum", x, dim_bits("sum", dims, x.shape()), keep, 1);
}

Tensor sum(const Tensor& x, std::initializer_list<int> dims, KeepDim keep) {
  return sum(x, std::span(dims.begin(), dims.size()), keep);
}

Tensor sum(const Tensor& x, int dim, KeepDim keep) { return sum(x, std::span(&dim, 1), keep); }

Tensor mean(const Tensor& x) {
  if (const auto in = detail::autocast<"mean">(x)) return mean(in[0]);
  detail::check_operand("mean", x);
  return averaged(x, all_dim_bits(x.shape()), KeepDim::kNo);
}

Tensor mean(const Tensor& x, std::span<const int> dims, KeepDim keep) {
  if (const auto in = detail::autocast<"mean">(x)) return mean(in[0], dims, keep);
  detail::check_operand("mean", x);
  return averaged(x, dim_bits("mean", dims, x.shape()), keep);
}

Tensor mean(const Tensor& x, std::initializer_list<int> dims, KeepDim keep) {
  return mean(x, std::span(dims.begin(), dims.size()), keep);
}

Tensor mean(const Tensor& x, int dim, KeepDim keep) { return mean(x, std::span(&dim, 1), keep); }

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (const auto in = detail::autocast<"sum_to">(x)) return sum_to(in[0], shape);
  detail::check_operand("sum_to", x);
  if (x.shape() == shape) return x;
  require(broadcast_shapes("sum_to", shape, x.shape()) == x.shape(), "sum_to", shape,
          " does not broadcast to ", x.shape());
  const int lead = x.rank() - shape.rank();
  uint32_t dims = 0;
  for (int d = 0; d < x.rank(); ++d) {
    if (d < lead || shape[d - lead] != x.shape()[d]) dims |= 1u << d;
  }
  return reshape(reduced("sum_to", x, dims, KeepDim::kYes, 1), shape);
}

}  // namespace trireme
