#include "kernels/matmul.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

Shape leading_of(const Shape& shape) { return Shape(std::span(shape.begin(), shape.end() - 2)); }

/// x with the leading dimensions `leading`, repeated (stride 0) where it has none.
template <typename T>
StridedView<T> widened(const StridedView<T>& x, const Shape& leading) {
  const int rank = x.shape.rank();
  Shape shape = leading;
  shape.push_back(x.shape[rank - 2]);
  shape.push_back(x.shape[rank - 1]);
  return {x.data, shape, broadcast_strides(x.shape, x.strides, shape)};
}

/// out = a b over the leading dimensions of both, broadcast; what out lacks of them is summed.
template <typename T>
void multiply(Device device, const StridedView<const T>& a, const StridedView<const T>& b,
              const Tensor& out) {
  const Shape leading = broadcast_shapes("matmul", leading_of(a.shape), leading_of(b.shape));
  if (leading.product() == 0 || a.shape.back() == 0) {
    fill_inplace(out, 0);
    return;
  }
  on_device(device, [&](auto tag) {
    kernels::matmul(tag, widened(a, leading), widened(b, leading),
                    widened(as_view<T>(out), leading));
  });
}

/// [.., m, n] x [.., k, n]^T, summed over what broadcasting had added to the left operand.
Tensor left_gradient(const Tensor& dy, const Tensor& b, const Shape& shape) {
  Tensor da = empty(shape, {dy.dtype(), dy.device()});
  dispatch_floating("matmul", dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    multiply<T>(dy.device(), as_view<const T>(dy), transposed(as_view<const T>(b)), da);
  });
  return da;
}

/// [.., m, k]^T x [.., m, n], summed likewise.
Tensor right_gradient(const Tensor& a, const Tensor& dy, const Shape& shape) {
  Tensor db = empty(shape, {dy.dtype(), dy.device()});
  dispatch_floating("matmul", dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    multiply<T>(dy.device(), transposed(as_view<const T>(a)), as_view<const T>(dy), db);
  });
  return db;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  detail::check_operands("matmul", a, b);
  require(a.rank() >= 2 && b.rank() >= 2, "matmul", "needs matrices, lhs is ", a.shape(),
          " but rhs is ", b.shape());
  require(a.size(-1) == b.size(-2), "matmul", "inner dimensions differ, lhs is ", a.shape(),
          " but rhs is ", b.shape());
  Shape shape = broadcast_shapes("matmul", leading_of(a.shape()), leading_of(b.shape()));
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  Tensor y = dispatch_floating("matmul", a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Tensor out = empty(shape, {a.dtype(), a.device()});
    multiply<T>(a.device(), as_view<const T>(a), as_view<const T>(b), out);
    return out;
  });
  return attach("matmul", std::move(y),
                wrt(a, [b = save(b), shape = a.shape()](
                           const Tensor& dy) { return left_gradient(dy, b(), shape); }),
                wrt(b, [a = save(a), shape = b.shape()](const Tensor& dy) {
                  return right_gradient(a(), dy, shape);
                }));
}

}  // namespace trireme
