// Adam and AdamW.

#pragma once

#include "core/optim/optimizer.h"

namespace trireme {

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  MasterWeights master_weights = MasterWeights::kF32;  // of 16-bit parameters
};

/// Weight decay is added to the gradient (L2). Kingma, Ba, "Adam", 2015.
class Adam : public Optimizer {
 public:
  Adam(std::vector<ParameterGroup> groups, AdamOptions options)
      : Adam(std::move(groups), options, Decay::kGradient) {}

 protected:
  enum class Decay { kGradient, kDecoupled };
  Adam(std::vector<ParameterGroup> groups, AdamOptions options, Decay decay);

 private:
  void update(const Update& update) override;
  AdamOptions options_;
  Decay decay_;
};

/// Weight decay shrinks the parameter itself. Loshchilov, Hutter, "Decoupled weight decay
/// regularization", 2019.
class AdamW final : public Adam {
 public:
  AdamW(std::vector<ParameterGroup> groups, AdamOptions options)
      : Adam(std::move(groups), options, Decay::kDecoupled) {}
};

namespace detail {
/// What rules with two averages require, as errors of `op`.
void check_betas(const char* op, double beta1, double beta2, double eps = 0);
}  // namespace detail

}  // namespace trireme
