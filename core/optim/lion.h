// Lion: every element moves by the learning rate, in the direction of an average's sign.

#pragma once

#include "core/optim/optimizer.h"

namespace trireme {

struct LionOptions {
  double lr = 1e-4;    // a third to a tenth of AdamW's,
  double beta1 = 0.9;  // with as much more weight decay
  double beta2 = 0.99;
  MasterWeights master_weights = MasterWeights::kF32;  // of 16-bit parameters
};

/// Half of Adam's state: one moment. Weight decay is decoupled, as AdamW's. Chen et al., "Symbolic
/// discovery of optimization algorithms", 2023.
class Lion final : public Optimizer {
 public:
  Lion(std::vector<ParameterGroup> groups, LionOptions options);

 private:
  void update(const Update& update) override;
  LionOptions options_;
};

}  // namespace trireme
