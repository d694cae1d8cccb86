#include "kernels/cross_entropy.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ids.h"
#include "core/ops/named_cross_entropy.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"

namespace trireme {
namespace {

/// The rows of x without the columns that only pad.
template <typename T>
MatrixView<T> counted(const Tensor& x, int64_t classes) {
  MatrixView<T> rows = as_rows<T>(x);
  if (classes > 0) rows.cols = classes;
  return rows;
}

struct Kept {
  Saved logits, ids, logsumexp, result;
  int64_t ignore_index, classes;
};

Tensor gradient(const Kept& kept, const Tensor& dy) {
  const Tensor x = dense(kept.logits());
  const Tensor &logsumexp = kept.logsumexp(), &result = kept.result();
  Tensor dx = empty_like(x);
  if (kept.classes > 0) fill_inplace(views::slice(dx, -1, kept.classes, x.size(-1)), 0);
  dispatch_floating("cross_entropy", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_ids("cross_entropy", kept.ids(), [&](const auto* values) {
      on_device(x.device(), [&](auto device) {
        kernels::cross_entropy_backward(
            device, counted<const T>(x, kept.classes), values, kept.ignore_index,
            static_cast<const Acc<T>*>(logsumexp.data<Acc<T>>()),
            static_cast<const Acc<T>*>(dy.data<Acc<T>>()),
            static_cast<const Acc<T>*>(result.data<Acc<T>>() + 1), counted<T>(dx, kept.classes));
      });
    });
  });
  return dx;
}

/// The gradient for a dy of 1, with a derivative of its own: that of softmax, over the number of
/// rows that count and zero in the others.
Tensor slope(const Kept& kept) {
  const Tensor& logits = kept.logits();
  const TensorOptions statistics{acc_dtype(logits.dtype()), logits.device()};
  return attach(
      differentiable("cross_entropy"), gradient(kept, ones({}, statistics)),
      wrt(logits, [kept](const Tensor& dy) {
        const Tensor x = kept.logits(), ids = to(kept.ids(), DType::kI64);
        const int64_t columns = kept.classes > 0 ? kept.classes : x.size(-1);
        const Tensor p = softmax(slice(x, -1, 0, columns));
        const Tensor d = slice(dy, -1, 0, columns);
        const Tensor ignored = from_vector<int64_t>({kept.ignore_index}, {}, ids.device());
        const Tensor share = to(slice(kept.result(), 0, 1, 2), x.dtype());
        const Tensor weight = unsqueeze(where(equal(ids, ignored), zeros_like(share), share), -1);
        const Tensor dx = weight * p * (d - sum(d * p, -1, KeepDim::kYes));
        if (columns == x.size(-1)) return dx;
        Shape rest = x.shape();
        rest.back() -= columns;
        return concat({dx, zeros(rest, {x.dtype(), x.device()})}, -1);
      }));
}

}  // namespace

void detail::check_cross_entropy(const char* op, const Tensor& logits, const Tensor& targets,
                                 int64_t ignore_index, int64_t classes) {
  require(logits.rank() >= 1, op, "logits must be [.., classes], got ", logits.shape());
  Shape rows = logits.shape();
  rows.erase(rows.rank() - 1);
  require(targets.shape() == rows, op, "targets must be ", rows, " for logits of ", logits.shape(),
          ", got ", targets.shape());
  require(targets.device() == logits.device(), op, "devices differ, logits are on ",
          logits.device(), " but targets are on ", targets.device());
  require(classes >= 0 && classes <= logits.size(-1), op, "classes must be in [0, ",
          logits.size(-1), "] for logits of ", logits.shape(), ", got ", classes);
  require_inside(op, "target", targets, classes > 0 ? classes : logits.size(-1), ignore_index);
}

Tensor detail::named_cross_entropy(const char* op, const Tensor& logits, const Tensor& targets,
                                   int64_t ignore_index, int64_t classes) {
  detail::check_defined(op, {{"logits", &logits}, {"targets", &targets}});
  const Tensor ids = dense(targets), packed = dense(logits);
  check_cross_entropy(op, logits, ids, ignore_index, classes);
  const TensorOptions statistics{acc_dtype(logits.dtype()), logits.device()};
  const Tensor logsumexp = empty(ids.shape(), statistics);
  const Tensor result = empty({2}, statistics);  // the loss and 1 / the number of rows that count
  dispatch_floating(op, logits.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_ids(op, ids, [&](const auto* values) {
      on_device(logits.device(), [&](auto device) {
        kernels::cross_entropy(device, counted<const T>(packed, classes), values, ignore_index,
                               logsumexp.data<Acc<T>>(), result.data<Acc<T>>());
      });
    });
  });
  return attach(differentiable("cross_entropy"), views::as_strided(result, {}, {}, 0),
                wrt(logits, [kept = Kept{save(logits), save(ids), save(logsumexp), save(result),
                                         ignore_index, classes}](const Tensor& dy) {
                  if (!is_recording()) return gradient(kept, dy);
                  return mul(slope(kept), to(dy, kept.logits().dtype()));
                }));
}

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, int64_t ignore_index,
                     int64_t classes) {
  return detail::named_cross_entropy("cross_entropy", logits, targets, ignore_index, classes);
}

}  // namespace trireme
