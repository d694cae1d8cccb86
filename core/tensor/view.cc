#include "core/tensor/view.h"

#include <algorithm>
#include <optional>

#include "core/tensor/copy.h"

namespace trireme::views {
namespace {

// Strides under which x has `shape` without copying, if there are any. Walks both shapes from the
// last dimension, matching runs of x's dimensions that lie densely behind one another.
std::optional<Strides> strides_for(const Tensor& x, const Shape& shape) {
  if (x.is_contiguous()) return contiguous_strides(shape);
  Strides strides = Dims::filled(shape.rank(), 0);
  int to = shape.rank() - 1;
  for (int from = x.rank() - 1; from >= 0;) {
    int64_t run = x.shape()[from];
    const int64_t base = x.strides()[from];
    while (from > 0 && (x.shape()[from - 1] == 1 || x.strides()[from - 1] == base * run)) {
      run *= x.shape()[--from];
    }
    int64_t taken = 1;
    while (to >= 0 && (taken < run || shape[to] == 1)) {
      strides[to] = base * taken;
      taken *= shape[to--];
    }
    if (taken != run) return std::nullopt;
    --from;
  }
  return to < 0 ? std::optional(strides) : std::nullopt;
}

}  // namespace

Tensor as_strided(const Tensor& x, const Shape& shape, const Strides& strides, int64_t offset) {
  const int64_t room = x.storage()->bytes() / size_of(x.dtype());  // elements
  const std::optional<int64_t> count = shape.checked_product();
  bool inside = count && offset >= 0 && strides.rank() == shape.rank();
  int64_t last = offset;
  for (int i = 0; inside && *count > 0 && i < shape.rank(); ++i) {
    int64_t reach = 0;
    inside = strides[i] >= 0 && !__builtin_mul_overflow(shape[i] - 1, strides[i], &reach) &&
             !__builtin_add_overflow(last, reach, &last);
  }
  require(inside && (*count == 0 || last < room), "as_strided", "shape ", shape, " with strides ",
          strides, " at offset ", offset, " leaves the storage of ", x.storage()->bytes(),
          " bytes");
  return Tensor(x.storage(), offset, shape, strides, x.dtype());
}

Tensor reshape(const Tensor& x, const Shape& wanted) {
  Shape shape = wanted;
  int unknown = -1;
  for (int i = 0; i < shape.rank() && unknown < 0; ++i) {
    if (shape[i] == -1) unknown = i;
  }
  if (unknown >= 0) {
    shape[unknown] = 1;
    const int64_t known = shape.checked_product().value_or(0);
    require(known > 0 && x.numel() % known == 0, "reshape", "cannot tell the extent -1 of ", wanted,
            " for ", x.shape());
    shape[unknown] = x.numel() / known;
  }
  require(shape.checked_product() == x.numel(), "reshape", "cannot give ", x.shape(), " the shape ",
          wanted);
  if (const auto strides = strides_for(x, shape)) {
    return Tensor(x.storage(), x.offset(), shape, *strides, x.dtype());
  }
  const Tensor copy = clone_detached(x);
  return Tensor(copy.storage(), 0, shape, contiguous_strides(shape), x.dtype());
}

Tensor transpose(const Tensor& x, int dim0, int dim1) {
  dim0 = normalize_dim("transpose", dim0, x.rank());
  dim1 = normalize_dim("transpose", dim1, x.rank());
  Shape shape = x.shape();
  Strides strides = x.strides();
  std::swap(shape[dim0], shape[dim1]);
  std::swap(strides[dim0], strides[dim1]);
  return Tensor(x.storage(), x.offset(), shape, strides, x.dtype());
}

Tensor slice(const Tensor& x, int dim, int64_t begin, int64_t end) {
  dim = normalize_dim("slice", dim, x.rank());
  require(0 <= begin && begin <= end && end <= x.shape()[dim], "slice", "range [", begin, ", ", end,
          ") leaves dimension ", dim, " of ", x.shape());
  Shape shape = x.shape();
  shape[dim] = end - begin;
  return Tensor(x.storage(), x.offset() + begin * x.strides()[dim], shape, x.strides(), x.dtype());
}

Tensor expand(const Tensor& x, const Shape& wanted) {
  Shape shape = wanted;
  const int lead = shape.rank() - x.rank();
  for (int i = std::max(lead, 0); i < shape.rank(); ++i) {
    if (shape[i] == -1) shape[i] = x.shape()[i - lead];
  }
  require(lead >= 0 && shape.checked_product(), "expand", "cannot expand ", x.shape(), " to ",
          wanted);
  require(broadcast_shapes("expand", x.shape(), shape) == shape, "expand", "cannot expand ",
          x.shape(), " to ", shape);
  return Tensor(x.storage(), x.offset(), shape, broadcast_strides(x.shape(), x.strides(), shape),
                x.dtype());
}

}  // namespace trireme::views
