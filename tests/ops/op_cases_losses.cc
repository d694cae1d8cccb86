// Rows of the losses.

#include "core/ops/losses.h"

#include <cmath>

#include "core/ops/ops.h"
#include "tests/ops/op_cases.h"

namespace trireme::testing {
namespace {

double sum_of(const Array& a) {
  double sum = 0;
  for (double v : a.values) sum += v;
  return sum;
}

Array reduced(const Array& each, Reduction reduction) {
  if (reduction == Reduction::kNone) return each;
  const double sum = sum_of(each);
  return {{}, {reduction == Reduction::kSum ? sum : sum / double(each.values.size())}};
}

/// An elementwise loss of predictions and targets in [low, high), once per reduction. `roundings`
/// of its elements; a reduction adds one.
std::vector<OpCase> pairs(const std::string& name, int roundings,
                          std::function<Tensor(const Tensor&, const Tensor&, Reduction)> op,
                          std::function<double(double, double)> reference, double low = -2,
                          double high = 2) {
  const std::pair<const char*, Reduction> kReductions[] = {
      {"none", Reduction::kNone}, {"mean", Reduction::kMean}, {"sum", Reduction::kSum}};
  std::vector<OpCase> rows;
  for (const auto& [suffix, reduction] : kReductions) {
    rows.push_back({.name = name + "_" + suffix,
                    .inputs = {real({3, 7}), real({3, 7}, low, high)},
                    .op = [op, reduction = reduction](
                              const Tensors& in) { return op(in[0], in[1], reduction); },
                    .reference =
                        [reference, reduction = reduction](const Arrays& in) {
                          return reduced(elementwise(reference)(in), reduction);
                        },
                    .tolerance = 4e-6,
                    .roundings = 2 * roundings + 1});
  }
  return rows;
}

double softplus_of(double x) { return std::log1p(std::exp(-std::abs(x))) + std::max(x, 0.0); }

OpCase weighted_bce_case() {
  return {.name = "binary_cross_entropy_with_logits_weights",
          .inputs = {real({4, 3}), real({4, 3}, 0, 1), real({4, 1}, 0.5, 2), real({3}, 0.5, 3)},
          .op =
              [](const Tensors& in) {
                return binary_cross_entropy_with_logits(in[0], in[1],
                                                        {.weight = in[2], .pos_weight = in[3]});
              },
          .reference =
              [](const Arrays& in) {
                const int64_t cols = in[3].shape.back(), count = in[0].shape.product();
                Array each = Array::zeros(in[0].shape);
                for (int64_t i = 0; i < count; ++i) {
                  const double x = in[0][i], t = in[1][i], p = in[3][i % cols];
                  each[i] = in[2][i / cols] * (p * t * softplus_of(-x) + (1 - t) * softplus_of(x));
                }
                return reduced(each, Reduction::kMean);
              },
          .roundings = 10,
          .empty_shapes = {{{0, 3}, {0, 3}, {0, 1}, {3}}}};
}

struct Nll {
  Shape rows = {7};
  int64_t ignored = -100;
  bool weighted = false;
  double smoothing = 0;
  Reduction reduction = Reduction::kMean;
  DType ids = DType::kI64;
  int64_t padding = 0;  // columns of logits that do not count
};
constexpr int64_t kClasses = 5;

/// The losses of rows of log probabilities, by the definition.
Array nll_reference(const Nll& of, const Array& log_p, const Array& targets, const Array* weight) {
  Array each = Array::zeros(targets.shape);
  double counted = 0;
  for (int64_t r = 0; r < targets.shape.product(); ++r) {
    const auto t = static_cast<int64_t>(targets[r]);
    if (t == of.ignored) continue;
    const int64_t classes = log_p.shape.back();
    for (int64_t c = 0; c < classes; ++c) {
      const double w = weight ? (*weight)[c] : 1;
      const double share = (c == t ? 1 - of.smoothing : 0) + of.smoothing / double(classes);
      each[r] -= share * w * log_p[r * classes + c];
    }
    counted += weight ? (*weight)[t] : 1;
  }
  if (of.reduction == Reduction::kNone) return each;
  const double sum = sum_of(each);
  return {{}, {of.reduction == Reduction::kSum ? sum : sum / counted}};
}

OpCase row_loss(const std::string& name, const Nll& of, bool from_logits) {
  const auto with_classes = [&](Shape shape) {
    shape.push_back(kClasses + of.padding);
    return shape;
  };
  Shape none = of.rows, one = Dims::filled(of.rows.rank(), 1);
  none[0] = 0;
  OpCase row{.name = name,
             .inputs = {real(with_classes(of.rows)), integers(of.rows, 0, kClasses, of.ids)},
             .op =
                 [of, from_logits](const Tensors& in) {
                   const Tensor weight = of.weighted ? in[2].detach() : Tensor();
                   if (!from_logits) {
                     return nll_loss(in[0], in[1],
                                     {.weight = weight,
                                      .label_smoothing = of.smoothing,
                                      .ignore_index = of.ignored,
                                      .reduction = of.reduction});
                   }
                   return cross_entropy(
                       in[0], in[1],
                       CrossEntropyOptions{.weight = weight,
                                           .label_smoothing = of.smoothing,
                                           .ignore_index = of.ignored,
                                           .classes = of.padding > 0 ? kClasses : 0,
                                           .reduction = of.reduction});
                 },
             .reference =
                 [of, from_logits](const Arrays& in) {
                   const Array* weight = of.weighted ? &in[2] : nullptr;
                   if (!from_logits) return nll_reference(of, in[0], in[1], weight);
                   const int64_t rows = in[1].shape.product(), width = kClasses + of.padding;
                   Array log_p = Array::zeros({rows, kClasses});
                   for (int64_t r = 0; r < rows; ++r) {
                     double sum = 0;
                     for (int64_t c = 0; c < kClasses; ++c) sum += std::exp(in[0][r * width + c]);
                     for (int64_t c = 0; c < kClasses; ++c) {
                       log_p[r * kClasses + c] = in[0][r * width + c] - std::log(sum);
                     }
                   }
                   return nll_reference(of, log_p, in[1], weight);
                 },
             .tolerance = 2e-6,
             .widens = true,
             .empty_shapes = {{with_classes(none), none}},
             .one_shapes = {{with_classes(one), one}}};
  if (of.weighted) {
    OpInput weight = real({kClasses}, 0.25, 2);
    weight.needs_grad = false;
    row.inputs.push_back(weight);
    row.empty_shapes->push_back({kClasses});
    row.one_shapes->push_back({kClasses});
  }
  return row;
}

}  // namespace

std::vector<OpCase> loss_cases() {
  std::vector<OpCase> rows;
  const auto add = [&](std::vector<OpCase> more) {
    for (OpCase& row : more) rows.push_back(std::move(row));
  };
  add(pairs("mse_loss", 2, mse_loss, [](double x, double t) { return (x - t) * (x - t); }));
  add(pairs("l1_loss", 2, l1_loss, [](double x, double t) { return std::abs(x - t); }));
  add(pairs(
      "smooth_l1_loss", 2,
      [](const Tensor& x, const Tensor& t, Reduction r) { return smooth_l1_loss(x, t, 0.6, r); },
      [](double x, double t) {
        const double a = std::abs(x - t);
        return a < 0.6 ? a * a / 1.2 : a - 0.3;
      }));
  add(pairs(
      "smooth_l1_loss_without_bend", 2,
      [](const Tensor& x, const Tensor& t, Reduction r) { return smooth_l1_loss(x, t, 0, r); },
      [](double x, double t) { return std::abs(x - t); }));
  add(pairs(
      "huber_loss", 3,
      [](const Tensor& x, const Tensor& t, Reduction r) { return huber_loss(x, t, 0.6, r); },
      [](double x, double t) {
        const double a = std::abs(x - t);
        return a < 0.6 ? a * a / 2 : 0.6 * (a - 0.3);
      }));
  add(pairs(
      "kl_div", 3,
      [](const Tensor& x, const Tensor& t, Reduction r) {
        return kl_div(x, t, KlTarget::kProbability, r);
      },
      [](double x, double t) { return t * (std::log(t) - x); }, 0.05, 1));
  add(pairs(
      "kl_div_log", 3,
      [](const Tensor& x, const Tensor& t, Reduction r) { return kl_div(x, t, KlTarget::kLog, r); },
      [](double x, double t) { return std::exp(t) * (t - x); }, -2, 0));
  add(pairs(
      "binary_cross_entropy_with_logits", 2,
      [](const Tensor& x, const Tensor& t, Reduction r) {
        return binary_cross_entropy_with_logits(x, t, {.reduction = r});
      },
      [](double x, double t) { return t * softplus_of(-x) + (1 - t) * softplus_of(x); }, 0, 1));
  add({
      weighted_bce_case(),
      row_loss("nll_loss", {}, false),
      row_loss("nll_loss_none", {.rows = {2, 3}, .reduction = Reduction::kNone}, false),
      row_loss("nll_loss_sum_i32", {.reduction = Reduction::kSum, .ids = DType::kI32}, false),
      row_loss("nll_loss_weighted", {.rows = {9}, .ignored = 1, .weighted = true}, false),
      row_loss("nll_loss_smoothed", {.rows = {9}, .ignored = 1, .weighted = true, .smoothing = 0.3},
               false),
      row_loss("cross_entropy_smoothed", {.smoothing = 0.1}, true),
      row_loss("cross_entropy_uniform", {.smoothing = 1}, true),
      row_loss("cross_entropy_weighted", {.rows = {2, 4}, .weighted = true}, true),
      row_loss("cross_entropy_none",
               {.rows = {9}, .ignored = 2, .weighted = true, .reduction = Reduction::kNone}, true),
      row_loss("cross_entropy_sum_padded",
               {.smoothing = 0.2, .reduction = Reduction::kSum, .padding = 3}, true),
  });
  return rows;
}

}  // namespace trireme::testing
