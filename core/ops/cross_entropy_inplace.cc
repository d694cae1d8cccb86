#include "kernels/cross_entropy_inplace.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ids.h"
#include "core/ops/named_cross_entropy.h"
#include "core/ops/ops.h"
#include "core/tensor/view.h"

namespace trireme {

Tensor cross_entropy_inplace(const Tensor& logits, const Tensor& targets, int64_t ignore_index,
                             int64_t classes) {
  constexpr const char* kOp = "cross_entropy_inplace";
  detail::check_defined(kOp, {{"logits", &logits}, {"targets", &targets}});
  // Nothing is to be had from the logits' memory where no gradient is wanted, and in f16 small
  // gradients would vanish before the loss scale reaches them.
  if (!is_recording() || !logits.requires_grad() || logits.dtype() == DType::kF16) {
    return detail::named_cross_entropy(kOp, logits, targets, ignore_index, classes);
  }
  require(!logits.is_leaf(), kOp, "logits must be the result of an op, not a leaf: they are lost");
  require(logits.is_contiguous(), kOp, "logits must be contiguous, got strides ", logits.strides(),
          " for ", logits.shape());
  const Tensor ids = dense(targets);
  detail::check_cross_entropy(kOp, logits, ids, ignore_index, classes);
  const int64_t counted = classes > 0 ? classes : logits.size(-1);
  const Tensor result = empty({2}, {acc_dtype(logits.dtype()), logits.device()});
  dispatch_floating(kOp, logits.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_ids(kOp, ids, [&](const auto* values) {
      on_device(logits.device(), [&](auto device) {
        kernels::cross_entropy_inplace(device, as_rows<T>(logits), counted, values, ignore_index,
                                       result.data<Acc<T>>());
      });
    });
  });
  logits.bump_version();  // an op that kept them for its own gradient will say so
  return attach(
      kOp, views::as_strided(result, {}, {}, 0),
      wrt(logits, [gradient = save(logits.detach()), used = false, kOp](const Tensor& dy) mutable {
        require(!used, kOp,
                "the gradient was taken already: it stands in the logits' "
                "memory once; use cross_entropy where backward runs twice");
        used = true;
        const Tensor d = gradient();
        dispatch_floating(kOp, d.dtype(), [&](auto tag) {
          using T = typename decltype(tag)::type;
          on_device(d.device(), [&](auto device) {
            kernels::scale_by<T>(device, d.data<T>(), d.numel(), dy.data<Acc<T>>());
          });
        });
        return d;
      }));
}

}  // namespace trireme
