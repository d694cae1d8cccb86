// Cutting into views and joining: compositions of slice, expand and concat.

#include <string>

#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

std::string in_brackets(std::span<const int64_t> sizes) {
  std::string text = "[";
  for (int64_t size : sizes) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

std::vector<Tensor> pieces(const char* op, const Tensor& x, int dim, int64_t size) {
  const int64_t extent = x.shape()[dim];
  require(size > 0 || (size == 0 && extent == 0), op, "pieces must have a positive extent, got ",
          size, " for dimension ", dim, " of ", x.shape());
  if (extent <= size) return {slice(x, dim, 0, extent)};
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < extent; begin += size) {
    parts.push_back(slice(x, dim, begin, std::min(begin + size, extent)));
  }
  return parts;
}

}  // namespace

std::vector<Tensor> split(const Tensor& x, int64_t size, int dim) {
  detail::check_operand("split", x);
  return pieces("split", x, normalize_dim("split", dim, x.rank()), size);
}

std::vector<Tensor> split(const Tensor& x, std::span<const int64_t> sizes, int dim) {
  detail::check_operand("split", x);
  dim = normalize_dim("split", dim, x.rank());
  int64_t rest = x.shape()[dim];
  bool fits = true;
  for (int64_t size : sizes) {
    fits = fits && size >= 0 && size <= rest;
    if (fits) rest -= size;
  }
  require(fits && rest == 0, "split", "sizes must not be negative and add up to the extent of ",
          "dimension ", dim, " of ", x.shape(), ", got ", in_brackets(sizes));
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (int64_t size : sizes) {
    parts.push_back(slice(x, dim, begin, begin + size));
    begin += size;
  }
  return parts;
}

std::vector<Tensor> chunk(const Tensor& x, int64_t count, int dim) {
  detail::check_operand("chunk", x);
  dim = normalize_dim("chunk", dim, x.rank());
  require(count > 0, "chunk", "needs a positive number of pieces, got ", count);
  const int64_t extent = x.shape()[dim];
  return pieces("chunk", x, dim, extent / count + (extent % count > 0 ? 1 : 0));
}

Tensor stack(const std::vector<Tensor>& parts, int dim) {
  require(!parts.empty(), "stack", "needs at least one tensor");
  if (const auto in = detail::autocast_all<"stack">(parts); !in.empty()) return stack(in, dim);
  std::vector<Tensor> raised;
  for (const Tensor& part : parts) {
    detail::check_operands("stack", parts[0], part);
    require(part.shape() == parts[0].shape(), "stack", "shapes must be equal, got ",
            parts[0].shape(), " and ", part.shape());
  }
  dim = normalize_dim("stack", dim, parts[0].rank() + 1);
  for (const Tensor& part : parts) raised.push_back(unsqueeze(part, dim));
  return concat(raised, dim);
}

Tensor repeat(const Tensor& x, const Shape& repeats) {
  detail::check_operand("repeat", x);
  bool fits = repeats.rank() >= x.rank();
  for (int64_t times : repeats) fits = fits && times >= 0;
  require(fits, "repeat", "needs a number of times, at least 0, for each dimension of ", x.shape(),
          ", got ", repeats);
  Shape shape = x.shape();
  while (shape.rank() < repeats.rank()) shape.insert(0, 1);
  Tensor y = reshape(x, shape);
  for (int d = shape.rank() - 1; d >= 0; --d) {
    const int64_t times = repeats[d];
    if (times == 1) continue;
    // [outer, extent and inner] -> [outer, times, extent and inner]
    int64_t outer = 1, inner = 1;
    for (int e = 0; e < shape.rank(); ++e) (e < d ? outer : inner) *= shape[e];
    shape[d] *= times;
    y = reshape(expand(reshape(y, {outer, 1, inner}), {outer, times, inner}), shape);
  }
  return y;
}

}  // namespace trireme
