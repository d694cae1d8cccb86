// Views with history: the elements are those of x, the gradient is the opposite view of dy.

#include "core/tensor/view.h"

#include "core/autograd/attach.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

using detail::check_operand;

Tensor permuted(const Tensor& x, std::span<const int> order) {
  Shape shape, strides;
  for (int d : order) {
    shape.push_back(x.shape()[d]);
    strides.push_back(x.strides()[d]);
  }
  return Tensor(x.storage(), x.offset(), shape, strides, x.dtype());
}

/// The gradient of whatever gave x another shape.
struct BackTo {
  Shape shape;  // of x
  Tensor operator()(const Tensor& dy) const {
    return is_recording() ? reshape(dy, shape) : views::reshape(dy, shape);
  }
};

/// dy with zeros around it in `dim`, composed: [begin, begin + dy's extent) of `shape`.
Tensor padded(const Tensor& dy, const Shape& shape, int dim, int64_t begin) {
  Shape before = shape, after = shape;
  before[dim] = begin;
  after[dim] = shape[dim] - begin - dy.shape()[dim];
  const TensorOptions like{dy.dtype(), dy.device()};
  return concat({zeros(before, like), dy, zeros(after, like)}, dim);
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  check_operand("reshape", x);
  return attach(differentiable("reshape"), views::reshape(x, shape), wrt(x, BackTo{x.shape()}));
}

Tensor transpose(const Tensor& x, int dim0, int dim1) {
  check_operand("transpose", x);
  return attach(differentiable("transpose"), views::transpose(x, dim0, dim1),
                wrt(x, [dim0, dim1](const Tensor& dy) { return transpose(dy, dim0, dim1); }));
}

Tensor permute(const Tensor& x, std::span<const int> order) {
  check_operand("permute", x);
  const int rank = x.rank();
  require(static_cast<int>(order.size()) == rank, "permute", "order must name each dimension of ",
          x.shape(), " once, got ", order.size(), " of them");
  std::array<int, kMaxRank> forward{}, inverse{};
  uint32_t seen = 0;
  for (int i = 0; i < rank; ++i) {
    forward[i] = normalize_dim("permute", order[i], rank);
    inverse[forward[i]] = i;
    require((seen >> forward[i] & 1) == 0, "permute", "order must name each dimension of ",
            x.shape(), " once, got ", order[i], " twice");
    seen |= 1u << forward[i];
  }
  return attach(differentiable("permute"), permuted(x, std::span(forward.data(), rank)),
                wrt(x, [inverse, rank](const Tensor& dy) {
                  return permute(dy, std::span(inverse.data(), rank));
                }));
}

Tensor permute(const Tensor& x, std::initializer_list<int> order) {
  return permute(x, std::span(order.begin(), order.size()));
}

Tensor slice(const Tensor& x, int dim, int64_t begin, int64_t end) {
  check_operand("slice", x);
  dim = normalize_dim("slice", dim, x.rank());
  // dx is dy with zeros around it, and each element is written once.
  return attach(differentiable("slice"), views::slice(x, dim, begin, end),
                wrt(x, [shape = x.shape(), dim, begin, end](const Tensor& dy) {
                  if (is_recording()) return padded(dy, shape, dim, begin);
                  const Tensor dx = empty(shape, {dy.dtype(), dy.device()});
                  fill_inplace(views::slice(dx, dim, 0, begin), 0);
                  copy_inplace(views::slice(dx, dim, begin, end), dy);
                  fill_inplace(views::slice(dx, dim, end, shape[dim]), 0);
                  return dx;
                }));
}

Tensor expand(const Tensor& x, const Shape& shape) {
  check_operand("expand", x);
  return attach(differentiable("expand"), views::expand(x, shape),
                wrt(x, [to = x.shape()](const Tensor& dy) { return sum_to(dy, to); }));
}

Tensor squeeze(const Tensor& x, int dim) {
  check_operand("squeeze", x);
  dim = normalize_dim("squeeze", dim, x.rank());
  require(x.shape()[dim] == 1, "squeeze", "dimension ", dim, " must have extent 1, got shape ",
          x.shape());
  Shape shape = x.shape(), strides = x.strides();
  shape.erase(dim);
  strides.erase(dim);
  return attach(differentiable("squeeze"),
                Tensor(x.storage(), x.offset(), shape, strides, x.dtype()),
                wrt(x, BackTo{x.shape()}));
}

Tensor unsqueeze(const Tensor& x, int dim) {
  check_operand("unsqueeze", x);
  dim = normalize_dim("unsqueeze", dim, x.rank() + 1);
  Shape shape = x.shape(), strides = x.strides();
  shape.insert(dim, 1);
  strides.insert(dim, 1);
  return attach(differentiable("unsqueeze"),
                Tensor(x.storage(), x.offset(), shape, strides, x.dtype()),
                wrt(x, BackTo{x.shape()}));
}

}  // namespace trireme
