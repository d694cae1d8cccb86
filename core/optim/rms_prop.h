// RMSprop: the gradient over the root of its recent mean square.

#pragma once

#include "core/optim/optimizer.h"

namespace trireme {

struct RmsPropOptions {
  double lr = 1e-2;
  double alpha = 0.99;  // decay of the mean square
  double eps = 1e-8;
  double momentum = 0;
  bool centered = false;  // over the deviation instead: the mean gradient is taken off
  MasterWeights master_weights = MasterWeights::kF32;  // of 16-bit parameters
};

/// Weight decay adds to the gradient. Tieleman, Hinton, "Lecture 6.5: RMSProp", Neural networks for
/// machine learning, 2012; centered and with momentum: Graves, "Generating sequences with recurrent
/// neural networks", 2013.
class RmsProp final : public Optimizer {
 public:
  /// Requires alpha and momentum in [0, 1), eps not negative.
  RmsProp(std::vector<ParameterGroup> groups, RmsPropOptions options);

 private:
  void update(const Update& update) override;
  RmsPropOptions options_;
};

}  // namespace trireme
