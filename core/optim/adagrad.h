// Adagrad: steps shrink by all gradients so far, element by element.

#pragma once

#include "core/optim/optimizer.h"

namespace trireme {

struct AdagradOptions {
  double lr = 1e-2;
  double lr_decay = 0;  // lr falls as 1 / (1 + lr_decay updates)
  double initial_sum = 0;
  double eps = 1e-10;
  MasterWeights master_weights = MasterWeights::kF32;  // of 16-bit parameters
};

/// Weight decay adds to the gradient. Rare features keep large steps: embeddings, sparse inputs.
/// Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic
/// optimization", 2011.
class Adagrad final : public Optimizer {
 public:
  /// Requires that no option is negative. Every sum of squares starts at initial_sum.
  Adagrad(std::vector<ParameterGroup> groups, AdagradOptions options);

 private:
  void update(const Update& update) override;
  AdagradOptions options_;
};

}  // namespace trireme
