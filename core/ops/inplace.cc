#include "core/ops/map.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"
#include "core/tensor/in_place.h"
#include "core/tensor/raw_view.h"
#include "core/tensor/view.h"

namespace trireme {

void add_inplace(const Tensor& y, const Tensor& x, double alpha) {
  check_writable("add_inplace", y);
  detail::check_operands("add_inplace", y, x);
  check_source("add_inplace", x);
  detail::check_scalar("add_inplace", y, alpha);
  require(broadcast_shapes("add_inplace", y.shape(), x.shape()) == y.shape(), "add_inplace",
          "cannot broadcast ", x.shape(), " to ", y.shape());
  accumulate_inplace(y, x.shape() == y.shape() ? x : views::expand(x, y.shape()), alpha);
}

void mul_inplace(const Tensor& y, double value) {
  check_writable("mul_inplace", y);
  detail::check_scalar("mul_inplace", y, value);
  y.bump_version();
  on_device(y.device(),
            [&](auto device) { kernels::scale_inplace(device, as_any_view(y), value); });
}

}  // namespace trireme
