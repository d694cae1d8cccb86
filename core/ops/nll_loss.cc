#include "kernels/nll_loss.h"

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/ids.h"
#include "core/ops/losses.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

void check(const char* op, const Tensor& log_p, const Tensor& targets, const NllOptions& options) {
  require(log_p.rank() >= 1, op, "the first operand must be [.., classes], got ", log_p.shape());
  Shape rows = log_p.shape();
  rows.erase(rows.rank() - 1);
  require(targets.shape() == rows, op, "targets must be ", rows, " for ", log_p.shape(), ", got ",
          targets.shape());
  require(options.label_smoothing >= 0 && options.label_smoothing <= 1, op,
          "label_smoothing must be in [0, 1], got ", options.label_smoothing);
  if (const Tensor& weight = options.weight) {
    detail::check_device(op, log_p, "weight", weight);
    require(weight.shape() == Shape{log_p.size(-1)}, op, "weight must be [", log_p.size(-1),
            "] for ", log_p.shape(), ", got ", weight.shape());
    require(weight.dtype() == log_p.dtype(), op, "weight and the first operand must agree, got ",
            weight.dtype(), " and ", log_p.dtype(), "; convert with to()");
  }
  require_inside(op, "target", targets, log_p.size(-1), options.ignore_index);
}

/// What the kernels take, for ids of one type.
template <typename T, typename Id>
kernels::NllTargets<T, Id> targets_of(const Id* ids, const Tensor& weight, double smoothing,
                                      int64_t ignore_index) {
  return {ids, ignore_index, weight ? weight.data<T>() : nullptr, smoothing};
}

/// The losses of the rows, and what each counts in their mean.
std::pair<Tensor, Tensor> row_losses(const Tensor& log_p, const Tensor& targets,
                                     const NllOptions& options) {
  const Tensor packed = dense(log_p), weight = options.weight ? dense(options.weight) : Tensor();
  const TensorOptions wide{acc_dtype(log_p.dtype()), log_p.device()};
  Tensor loss = empty(targets.shape(), wide), counted = empty(targets.shape(), wide);
  const double smoothing = options.label_smoothing;
  const int64_t ignored = options.ignore_index;
  dispatch_floating("nll_loss", log_p.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_ids("nll_loss", targets, [&](const auto* ids) {
      on_device(log_p.device(), [&](auto device) {
        kernels::nll_loss(device, as_rows<const T>(packed),
                          targets_of<T>(ids, weight, smoothing, ignored), loss.data<Acc<T>>(),
                          counted.data<Acc<T>>());
      });
    });
  });
  std::optional<Saved> factors;
  if (weight) factors = save(weight);
  auto formula = [ids = save(targets), factors, smoothing, ignored, shape = log_p.shape(),
                  dtype = log_p.dtype()](const Tensor& dy) {
    // Linear in dy: while recording, the gradient for ones, times dy.
    const Tensor g = is_recording() ? ones(dy.shape(), {dy.dtype(), dy.device()}) : dense(dy);
    const Tensor w = factors ? (*factors)() : Tensor();
    Tensor dx = empty(shape, {dtype, dy.device()});
    dispatch_floating("nll_loss", dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      with_ids("nll_loss", ids(), [&](const auto* values) {
        on_device(dy.device(), [&](auto device) {
          kernels::nll_loss_backward(device, targets_of<T>(values, w, smoothing, ignored),
                                     static_cast<const Acc<T>*>(g.data<Acc<T>>()), as_rows<T>(dx));
        });
      });
    });
    return is_recording() ? mul(unsqueeze(to(dy, dtype), -1), dx) : dx;
  };
  return {attach(differentiable("nll_loss"), std::move(loss), wrt(log_p, std::move(formula))),
          counted};
}

Tensor nll(const char* op, const Tensor& log_p, const Tensor& targets, const NllOptions& options) {
  detail::check_defined(op, {{"the first operand", &log_p}, {"targets", &targets}});
  const Tensor ids = dense(targets);
  check(op, log_p, ids, options);
  const auto [loss, counted] = row_losses(log_p, ids, options);
  if (options.reduction == Reduction::kNone) return loss;
  return options.reduction == Reduction::kSum ? sum(loss) : sum(loss) / sum(counted);
}

}  // namespace

Tensor nll_loss(const Tensor& log_p, const Tensor& targets, const NllOptions& options) {
  if (const auto in = detail::autocast<"nll_loss">(log_p, options.weight)) {
    NllOptions converted = options;
    converted.weight = in[1];
    return nll_loss(in[0], targets, converted);
  }
  return nll("nll_loss", log_p, targets, options);
}

Tensor cross_entropy(const Tensor& logits, const Tensor& targets,
                     const CrossEntropyOptions& options) {
  const int64_t classes = options.classes;
  if (!options.weight && options.label_smoothing == 0 && options.reduction == Reduction::kMean) {
    return cross_entropy(logits, targets, options.ignore_index, classes);
  }
  detail::check_defined("cross_entropy", {{"logits", &logits}, {"targets", &targets}});
  detail::check_device("cross_entropy", logits, "weight", options.weight);
  require(logits.rank() >= 1, "cross_entropy", "logits must be [.., classes], got ",
          logits.shape());
  require(classes >= 0 && classes <= logits.size(-1), "cross_entropy", "classes must be in [0, ",
          logits.size(-1), "] for logits of ", logits.shape(), ", got ", classes);
  require(is_floating(logits.dtype()), "cross_entropy", "needs a floating-point dtype, got ",
          logits.dtype());
  const DType wide = acc_dtype(logits.dtype());
  if (const Tensor& weight = options.weight) {
    require(weight.dtype() == logits.dtype() || weight.dtype() == wide, "cross_entropy",
            "weight must be ", logits.dtype(), " as the logits are",
            wide == logits.dtype() ? "" : " or f32", ", got ", weight.dtype(),
            "; convert with to()");
  }
  const Tensor counted = classes > 0 ? slice(logits, -1, 0, classes) : logits;
  return nll("cross_entropy", log_softmax(to(counted, wide)), targets,
             {.weight = options.weight ? to(options.weight, wide) : Tensor(),
              .label_smoothing = options.label_smoothing,
              .ignore_index = options.ignore_index,
              .reduction = options.reduction});
}

}  // namespace trireme
