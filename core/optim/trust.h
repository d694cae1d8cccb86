// LAMB and LARS: for large batches. Each tensor steps in proportion to its own norm, so that no
// layer is moved too far by a learning rate that suits the others. The norms are formed and used on
// the device; the host waits for nothing.

#pragma once

#include "core/optim/optimizer.h"

namespace trireme {

/// Which parameters have a trust ratio. The others, biases and norms, step by the rule without it,
/// as the papers' own experiments do.
enum class Adapts { kMatrices, kAll };

struct LambOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-6;
  Adapts adapts = Adapts::kMatrices;
  MasterWeights master_weights = MasterWeights::kF32;  // of 16-bit parameters
};

/// Adam's direction u (with decoupled weight decay) times |p| / |u| of each tensor. You et al.,
/// "Large batch optimization for deep learning: training BERT in 76 minutes", 2020.
class Lamb final : public Optimizer {
 public:
  Lamb(std::vector<ParameterGroup> groups, LambOptions options);

 private:
  void update(const Update& update) override;
  LambOptions options_;
};

struct LarsOptions {
  double lr = 1;
  double momentum = 0.9;
  double trust = 0.001;  // how far a tensor trusts its gradient, as a share of its own norm
  double eps = 1e-8;
  Adapts adapts = Adapts::kMatrices;
  MasterWeights master_weights = MasterWeights::kF32;  // of 16-bit parameters
};

/// SGD with momentum, where each tensor's learning rate is lr trust |p| / (|g| + decay |p|). Weight
/// decay adds to the gradient; the momentum holds steps, not gradients, so a fall of lr takes
/// effect on what comes after. You, Gitman, Ginsburg, "Large batch training of convolutional
/// networks", 2017.
class Lars final : public Optimizer {
 public:
  /// Requires momentum in [0, 1), trust > 0.
  Lars(std::vector<ParameterGroup> groups, LarsOptions options);

 private:
  void update(const Update& update) override;
  LarsOptions options_;
};

}  // namespace trireme
