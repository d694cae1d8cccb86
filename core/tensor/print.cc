#include <ostream>

#include "core/tensor/copy.h"
#include "core/tensor/tensor.h"

namespace trireme {
namespace {

constexpr int64_t kEdge = 3;  // elements shown at each end of a long dimension
constexpr int64_t kLong = 8;

void print_dim(std::ostream& out, const std::vector<double>& values, const Shape& shape, int dim,
               int64_t first, int64_t count) {
  if (dim == shape.rank()) {
    out << values[static_cast<size_t>(first)];
    return;
  }
  const int64_t extent = shape[dim];
  const int64_t step = extent > 0 ? count / extent : 0;
  out << '{';
  for (int64_t i = 0; i < extent; ++i) {
    if (i > 0) out << ", ";
    if (extent > kLong && i == kEdge) {
      out << "..., ";
      i = extent - kEdge;
    }
    print_dim(out, values, shape, dim + 1, first + i * step, step);
  }
  out << '}';
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  if (!tensor.defined()) return out << "Tensor undefined";
  out << "Tensor " << tensor.dtype() << tensor.shape() << ' ';
  print_dim(out, tensor.to_vector<double>(), tensor.shape(), 0, 0, tensor.numel());
  return out;
}

}  // namespace trireme
