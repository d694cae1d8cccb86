// Layers that each take the one before's result.
//
//   Sequential net;
//   net.add<Linear>(784, 128, generator);
//   net.then(relu);
//   net.add<Linear>(128, 10, generator);
//   backward(cross_entropy(net.forward(images), targets));
//
// Steps are numbered from 0 as torch.nn.Sequential numbers them, functions too, so parameters above
// are "0.weight", "0.bias", "2.weight" and "2.bias".

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/nn/module.h"

namespace trireme {

class Sequential : public Module {
 public:
  Sequential() = default;

  /// Makes a layer and appends it; it has `Tensor forward(const Tensor&) const`.
  template <typename Layer, typename... Args>
  Layer& add(Args&&... args) {
    auto owned = std::make_unique<Layer>(std::forward<Args>(args)...);
    Layer& layer = *owned;
    register_module(std::to_string(steps_.size()), layer);
    layers_.push_back(std::move(owned));
    steps_.push_back([&layer](const Tensor& x) { return layer.forward(x); });
    return layer;
  }
  /// Appends a function without parameters: an activation, a reshape.
  void then(std::function<Tensor(const Tensor&)> step);

  Tensor forward(const Tensor& x) const;
  size_t size() const { return steps_.size(); }

 private:
  std::vector<std::unique_ptr<Module>> layers_;
  std::vector<std::function<Tensor(const Tensor&)>> steps_;
};

}  // namespace trireme
