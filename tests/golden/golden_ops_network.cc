// Softmax, normalisations, images and losses: ops.h, losses.h.

#include "core/ops/ops.h"
#include "tests/golden/convolution_arguments.h"

namespace trireme::testing {
namespace {

using With = const Arguments&;

Reduction reduction(With with) {
  const std::string name = with.value("reduction", "mean");
  return name == "none" ? Reduction::kNone : name == "sum" ? Reduction::kSum : Reduction::kMean;
}
double eps(With with) { return with.value("eps", 1e-5); }

/// The plain mean goes through the op without options.
Tensor entropy(Operands& in, With with) {
  const int64_t ignored = with.value("ignore_index", -100), classes = with.value("classes", 0);
  if (!with.contains("reduction")) {
    return cross_entropy(in["logits"], in["targets"], ignored, classes);
  }
  return cross_entropy(in["logits"], in["targets"],
                       CrossEntropyOptions{.weight = in["weight"],
                                           .label_smoothing = with.value("label_smoothing", 0.0),
                                           .ignore_index = ignored,
                                           .classes = classes,
                                           .reduction = reduction(with)});
}

/// Running statistics are f32 beside 16-bit operands, and change.
struct Running {
  Tensor mean, var;
  explicit Running(Operands& in) {
    const bool is_half = in["x"] && is_half_dtype(in["x"].dtype());
    const auto copy = [&](const Tensor& x) {
      if (!x) return x;
      return clone_detached(is_half && is_floating(x.dtype()) ? cast(x, DType::kF32) : x);
    };
    mean = copy(in["running_mean"]), var = copy(in["running_var"]);
  }
  Tensors behind(const Tensor& y) const { return mean ? Tensors{y, mean, var} : Tensors{y}; }
};
BatchNormOptions batch_norm_options(With with) {
  return {with.value("training", true), with.value("momentum", 0.1), eps(with)};
}

Pool2dOptions pool_options(With with) {
  return {pair_in(with, "kernel", {2, 2}), pair_in(with, "stride", {0, 0}),
          pair_in(with, "padding", {0, 0})};
}

GoldenOps loss_ops() {
  return {
      {"cross_entropy", [](Operands& in, With with) { return Tensors{entropy(in, with)}; }},
      {"cross_entropy_inplace",
       [](Operands& in, With with) {
         // Its logits are the result of an op that does not keep them.
         return Tensors{cross_entropy_inplace(in["logits"] + 0.0, in["targets"],
                                              with.value("ignore_index", -100),
                                              with.value("classes", 0))};
       }},
      {"nll_loss",
       [](Operands& in, With with) {
         return Tensors{nll_loss(in["log_p"], in["targets"],
                                 {.weight = in["weight"], .reduction = reduction(with)})};
       }},
      {"binary_cross_entropy_with_logits",
       [](Operands& in, With with) {
         return Tensors{binary_cross_entropy_with_logits(in["x"], in["targets"],
                                                         {.weight = in["weight"],
                                                          .pos_weight = in["pos_weight"],
                                                          .reduction = reduction(with)})};
       }},
      {"mse_loss",
       [](Operands& in, With with) {
         return Tensors{mse_loss(in["x"], in["targets"], reduction(with))};
       }},
      {"l1_loss",
       [](Operands& in, With with) {
         return Tensors{l1_loss(in["x"], in["targets"], reduction(with))};
       }},
      {"smooth_l1_loss",
       [](Operands& in, With with) {
         return Tensors{
             smooth_l1_loss(in["x"], in["targets"], with.value("beta", 1.0), reduction(with))};
       }},
      {"huber_loss",
       [](Operands& in, With with) {
         return Tensors{
             huber_loss(in["x"], in["targets"], with.value("delta", 1.0), reduction(with))};
       }},
      {"kl_div",
       [](Operands& in, With with) {
         const auto form = with.at("form") == "log" ? KlTarget::kLog : KlTarget::kProbability;
         return Tensors{kl_div(in["x"], in["targets"], form, reduction(with))};
       }},
  };
}

}  // namespace

GoldenOps golden_network_ops() {
  GoldenOps ops = {
      {"softmax",
       [](Operands& in, With with) { return Tensors{softmax(in["x"], with.at("dim"))}; }},
      {"log_softmax",
       [](Operands& in, With with) { return Tensors{log_softmax(in["x"], with.at("dim"))}; }},
      {"layer_norm",
       [](Operands& in, With with) {
         return Tensors{layer_norm(in["x"], in["gamma"], in["beta"], eps(with))};
       }},
      {"rms_norm",
       [](Operands& in, With with) { return Tensors{rms_norm(in["x"], in["gamma"], eps(with))}; }},
      {"residual_layer_norm",
       [](Operands& in, With with) {
         const auto [sum, y] =
             residual_layer_norm(in["x"], in["residual"], in["gamma"], in["beta"], eps(with));
         return Tensors{sum, y};
       }},
      {"residual_rms_norm",
       [](Operands& in, With with) {
         const auto [sum, y] = residual_rms_norm(in["x"], in["residual"], in["gamma"], eps(with));
         return Tensors{sum, y};
       }},
      {"group_norm",
       [](Operands& in, With with) {
         return Tensors{group_norm(in["x"], with.at("groups"), in["gamma"], in["beta"], eps(with))};
       }},
      {"conv2d",
       [](Operands& in, With with) {
         return Tensors{conv2d(in["x"], in["weight"], in["bias"], conv2d_options(with))};
       }},
      {"conv1d",
       [](Operands& in, With with) {
         return Tensors{conv1d(in["x"], in["weight"], in["bias"], conv1d_options(with))};
       }},
      {"conv_transpose2d",
       [](Operands& in, With with) {
         return Tensors{
             conv_transpose2d(in["x"], in["weight"], in["bias"], conv_transpose2d_options(with))};
       }},
      {"conv_transpose1d",
       [](Operands& in, With with) {
         return Tensors{
             conv_transpose1d(in["x"], in["weight"], in["bias"], conv_transpose1d_options(with))};
       }},
      {"max_pool2d",
       [](Operands& in, With with) { return Tensors{max_pool2d(in["x"], pool_options(with))}; }},
      {"avg_pool2d",
       [](Operands& in, With with) { return Tensors{avg_pool2d(in["x"], pool_options(with))}; }},
      {"adaptive_avg_pool2d",
       [](Operands& in, With with) {
         return Tensors{adaptive_avg_pool2d(in["x"], with.at("height"), with.at("width"))};
       }},
      {"batch_norm",
       [](Operands& in, With with) {
         const Running running(in);
         return running.behind(batch_norm(in["x"], in["gamma"], in["beta"], running.mean,
                                          running.var, batch_norm_options(with)));
       }},
      {"batch_norm_relu",
       [](Operands& in, With with) {
         const Running running(in);
         return running.behind(batch_norm_relu(in["x"], in["residual"], in["gamma"], in["beta"],
                                               running.mean, running.var,
                                               batch_norm_options(with)));
       }},
  };
  ops.merge(loss_ops());
  return ops;
}

}  // namespace trireme::testing
