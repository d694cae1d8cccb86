// A model with large gradients and hardly any computation.

#pragma once

#include <algorithm>
#include <vector>

#include "core/nn/module.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"

namespace trireme::testing {

/// The product of its parameters p0, p1, ..., f32 and `bytes` each.
struct Chain : Module {
  /// In which backward completes the gradients.
  enum class Order { kLastToFirst, kFirstToLast };

  Chain(int count, int64_t bytes, Order order_of_gradients = Order::kLastToFirst)
      : order(order_of_gradients) {
    for (int i = 0; i < count; ++i) {
      parameters.push_back(ones({bytes / size_of(DType::kF32)}).set_requires_grad());
      register_parameter(concat("p", i), parameters.back());
    }
  }
  Tensor loss() const {
    std::vector<Tensor> factors = parameters;
    if (order == Order::kFirstToLast) std::reverse(factors.begin(), factors.end());
    Tensor y = ones(factors.front().shape());
    for (const Tensor& factor : factors) y = y * factor;
    return sum(y);
  }

  std::vector<Tensor> parameters;
  Order order;
};

}  // namespace trireme::testing
