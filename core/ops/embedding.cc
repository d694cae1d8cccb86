#include "kernels/embedding.h"

#include "core/autograd/attach.h"
#include "core/autograd/gradient_home.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ids.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

/// The rows of dy added up where the ids say, in `shape`. Linear in dy, with embedding as its
/// transpose.
Tensor rows_added(const Tensor& dy, const Tensor& ids, const Shape& shape,
                  const GradientHome& home) {
  const Tensor g = dense(dy);
  Tensor dweight = home.empty(shape, {dy.dtype(), dy.device()});
  dispatch_floating("embedding", dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_ids("embedding", ids, [&](const auto* values) {
      on_device(dy.device(), [&](auto device) {
        kernels::embedding_backward(device, as_rows<const T>(g), values, as_rows<T>(dweight));
      });
    });
  });
  if (!is_recording()) return dweight;
  return attach(differentiable("embedding"), std::move(dweight),
                wrt(dy, [ids = save(ids)](const Tensor& d) { return embedding(d, ids()); }));
}

}  // namespace

Tensor embedding(const Tensor& weight, const Tensor& ids) {
  detail::check_defined("embedding", {{"weight", &weight}, {"ids", &ids}});
  require(weight.rank() == 2, "embedding", "weight must be [vocabulary, features], got ",
          weight.shape());
  require(ids.device() == weight.device(), "embedding", "devices differ, weight is on ",
          weight.device(), " but ids are on ", ids.device());
  const Tensor dense_ids = dense(ids), table = dense(weight);
  require_inside("embedding", "id", dense_ids, weight.size(0));
  Shape shape = ids.shape();
  shape.push_back(weight.size(1));
  Tensor y = empty(shape, {weight.dtype(), weight.device()});
  dispatch_floating("embedding", weight.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_ids("embedding", dense_ids, [&](const auto* values) {
      on_device(weight.device(), [&](auto device) {
        kernels::embedding(device, as_rows<const T>(table), values, as_rows<T>(y));
      });
    });
  });
  return attach(
      differentiable("embedding"), std::move(y),
      wrt(weight, [ids = save(dense_ids), shape = weight.shape(), home = GradientHome(weight)](
                      const Tensor& dy) { return rows_added(dy, ids(), shape, home); }));
}

}  // namespace trireme
