#include "core/models/mlp.h"

#include "core/nn/init.h"

namespace trireme {

Mlp::Mlp(const MlpConfig& config, Generator& generator, TensorOptions options)
    : activation_(config.activation), dropout_(config.dropout, generator) {
  require(config.sizes.size() >= 2, "mlp", "needs at least an input and an output size, got ",
          config.sizes.size(), " sizes");
  for (size_t i = 0; i + 1 < config.sizes.size(); ++i) {
    const Linear& layer =
        layers_.add(config.sizes[i], config.sizes[i + 1], generator, Bias::kYes, options);
    init::kaiming_uniform(layer.weight(), generator);
  }
  register_module("layers", layers_);
  register_module("dropout", dropout_);
}

Tensor Mlp::forward(const Tensor& x) const {
  require(x.rank() >= 1, "mlp", "needs a batch dimension, got shape ", x.shape());
  Tensor h = x.rank() == 2 ? x : reshape(x, {x.size(0), -1});
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (i > 0) h = dropout_.forward(activation_ == Activation::kRelu ? relu(h) : gelu(h));
    h = layers_[i].forward(h);
  }
  return h;
}

}  // namespace trireme
