// Small f64 tensors for tests of autograd, on the device under test.

#pragma once

#include <vector>

#include "core/tensor/create.h"
#include "tests/support/test_device.h"

namespace trireme::testing {

/// A vector that requires a gradient.
inline Tensor leaf(const std::vector<double>& values) {
  const auto count = static_cast<int64_t>(values.size());
  return from_vector(values, {count}, test_device()).set_requires_grad();
}
/// A vector without gradient.
inline Tensor constant(const std::vector<double>& values) { return leaf(values).detach(); }

inline std::vector<double> values(const Tensor& x) { return x.to_vector<double>(); }

}  // namespace trireme::testing
