// A multi-layer perceptron.

#pragma once

#include <vector>

#include "core/nn/layers.h"
#include "core/nn/module_list.h"

namespace trireme {

enum class Activation { kRelu, kGelu };

struct MlpConfig {
  std::vector<int64_t> sizes;  // input, hidden..., output: at least two
  double dropout = 0;          // after each hidden activation
  Activation activation = Activation::kRelu;
};

/// x [batch, ..] -> [batch, sizes.back()]; trailing dimensions of x are flattened. The activation
/// stands between the layers. Parameters layers.0.weight, layers.0.bias, ... start by Kaiming's
/// rule.
class Mlp : public Module {
 public:
  Mlp(const MlpConfig& config, Generator& generator, TensorOptions options = {});
  Tensor forward(const Tensor& x) const;

 private:
  Activation activation_;
  ModuleList<Linear> layers_;
  Dropout dropout_;
};

}  // namespace trireme
