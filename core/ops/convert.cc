#include "core/autograd/attach.h"
#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"

namespace trireme {

Tensor contiguous(const Tensor& x) {
  detail::check_operand("contiguous", x);
  if (x.is_contiguous()) return x;
  return attach("contiguous", clone_detached(x), wrt(x, [](const Tensor& dy) { return dy; }));
}

Tensor to(const Tensor& x, DType dtype) {
  detail::check_operand("to", x);
  if (x.dtype() == dtype) return x;
  Tensor y = cast(x, dtype);
  if (!is_floating(dtype)) return y;
  return attach("to", y, wrt(x, [from = x.dtype()](const Tensor& dy) { return cast(dy, from); }));
}

}  // namespace trireme
