// Stochastic gradient descent with momentum.

#pragma once

#include "core/optim/optimizer.h"

namespace trireme {

struct SgdOptions {
  double lr = 1e-2;
  double momentum = 0;
  double dampening = 0;
  bool nesterov = false;
  MasterWeights master_weights = MasterWeights::kF32;  // of 16-bit parameters
};

/// The update is that of kernels/optimizer_rules.h: weight decay adds to the gradient, the momentum
/// buffer starts as the first gradient. A first step whose grad_factor is 0 is counted like any
/// other (Optimizer::step): the buffer stays zero, and with dampening the next gradient counts 1 -
/// dampening in it; without, it is as if that step had been the first. Sutskever et al., "On the
/// importance of initialization and momentum in deep learning", 2013.
class Sgd final : public Optimizer {
 public:
  /// Nesterov needs momentum > 0 and no dampening.
  Sgd(std::vector<ParameterGroup> groups, SgdOptions options);

 private:
  void update(const Update& update) override;
  SgdOptions options_;
};

}  // namespace trireme
