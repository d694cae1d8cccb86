#include <ostream>
#include <type_traits>

#include "core/tensor/tensor.h"
#include "core/tensor/transfer.h"

namespace trireme {
namespace {

constexpr int64_t kEdge = 3;  // elements shown at each end of a long dimension
constexpr int64_t kLong = 8;

// One element in its own type: integers in full, whatever their size.
void print_element(std::ostream& out, const Tensor& x, int64_t offset) {
  dispatch_dtype(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T value = x.data<T>()[offset];
    if constexpr (std::is_floating_point_v<Acc<T>>) {
      out << Acc<T>{value};
    } else {
      out << static_cast<int64_t>(value);
    }
  });
}

void print_dim(std::ostream& out, const Tensor& x, int dim, int64_t offset) {
  if (dim == x.rank()) return print_element(out, x, offset);
  const int64_t extent = x.shape()[dim];
  out << '{';
  for (int64_t i = 0; i < extent; ++i) {
    if (i > 0) out << ", ";
    if (extent > kLong && i == kEdge) {
      out << "..., ";
      i = extent - kEdge;
    }
    print_dim(out, x, dim + 1, offset + i * x.strides()[dim]);
  }
  out << '}';
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  if (!tensor.defined()) return out << "Tensor undefined";
  out << "Tensor " << tensor.dtype() << tensor.shape() << ' ';
  if (!tensor.device().is_cpu()) out << tensor.device() << ' ';
  print_dim(out, to_device(tensor, Device{}), 0, 0);
  return out;
}

}  // namespace trireme
