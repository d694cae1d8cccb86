#include "core/nn/sequential.h"

#include "core/base/error.h"

namespace trireme {

void Sequential::then(std::function<Tensor(const Tensor&)> step) {
  require(static_cast<bool>(step), "sequential", "a step must be a function, got an empty one");
  steps_.push_back(std::move(step));
}

Tensor Sequential::forward(const Tensor& x) const {
  Tensor y = x;
  for (const auto& step : steps_) y = step(y);
  return y;
}

}  // namespace trireme
