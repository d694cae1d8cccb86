// Losses beyond cross_entropy(logits, targets) of ops.h, by PyTorch's formulas.
//
// The elementwise ones take predictions and targets of one shape and give both gradients. All take
// `reduction`: kNone gives the losses as they are, kMean their mean, kSum their sum. Under Autocast
// they are computed in f32.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

enum class Reduction { kNone, kMean, kSum };

struct NllOptions {
  Tensor weight = {};  // [classes], a factor of each target's loss; undefined: 1. Takes no gradient
  double label_smoothing = 0;  // in [0, 1]: the share of the loss that all classes have alike
  int64_t ignore_index = -100;
  Reduction reduction = Reduction::kMean;
};
/// With w the weights and s the smoothing, a row's loss is
///   -(1 - s) w[t] log_p[t] - s / classes sum_c w[c] log_p[c],
/// 0 where t is ignore_index. log_p [.., classes], targets i64 or i32 [..]. kMean divides the sum
/// by that of w[t], so all rows ignored give NaN. A target outside [0, classes) is an error that
/// names it. 16-bit log_p give an f32 loss.
Tensor nll_loss(const Tensor& log_p, const Tensor& targets, const NllOptions& options = {});

struct CrossEntropyOptions {
  Tensor weight = {};
  double label_smoothing = 0;
  int64_t ignore_index = -100;
  int64_t classes = 0;  // as in cross_entropy of ops.h
  Reduction reduction = Reduction::kMean;
};
/// nll_loss(log_softmax(logits), targets). The plain mean is cross_entropy of ops.h, in its one
/// pass; weights, smoothing and the other reductions keep a tensor of log probabilities in f32.
Tensor cross_entropy(const Tensor& logits, const Tensor& targets,
                     const CrossEntropyOptions& options);

struct BceOptions {
  Tensor weight = {};      // broadcasts to the losses: a factor of each
  Tensor pos_weight = {};  // broadcasts to the losses: a factor of the part with target 1
  Reduction reduction = Reduction::kMean;
};
/// -(p t log s(x) + (1 - t) log(1 - s(x))) with s the sigmoid and p pos_weight; finite for any
/// finite x.
Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& targets,
                                        const BceOptions& options = {});

/// (x - t)^2.
Tensor mse_loss(const Tensor& x, const Tensor& targets, Reduction reduction = Reduction::kMean);
/// |x - t|.
Tensor l1_loss(const Tensor& x, const Tensor& targets, Reduction reduction = Reduction::kMean);
/// (x - t)^2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2. Requires beta >= 0; 0 is
/// l1_loss.
Tensor smooth_l1_loss(const Tensor& x, const Tensor& targets, double beta = 1,
                      Reduction reduction = Reduction::kMean);
/// (x - t)^2 / 2 where |x - t| < delta, else delta (|x - t| - delta / 2). Requires delta > 0.
Tensor huber_loss(const Tensor& x, const Tensor& targets, double delta = 1,
                  Reduction reduction = Reduction::kMean);

/// Whether the targets of kl_div are probabilities or their logarithms.
enum class KlTarget { kProbability, kLog };
/// t (log t - x) for log probabilities x: the Kullback-Leibler divergence from x to t, 0 where t is
/// 0. The mean per distribution ("batchmean") is kSum over the number of rows.
Tensor kl_div(const Tensor& x, const Tensor& targets, KlTarget form = KlTarget::kProbability,
              Reduction reduction = Reduction::kMean);

}  // namespace trireme
