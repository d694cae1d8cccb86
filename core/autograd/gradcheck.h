// gradcheck and gradgradcheck: compare backward with central differences.
//
// For fixed random v it compares the gradient of sum(v * f(x)) that backward gives with
// (f(x + eps) - f(x - eps)) / (2 eps) for every element of every input, in f64. Defaults follow the
// usual choice for double precision: eps 1e-6, absolute 1e-5, relative 1e-3. Inputs are moved in
// place meanwhile, so no other thread may use them.

#pragma once

#include <functional>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

struct GradcheckOptions {
  double eps = 1e-6;
  double absolute_tolerance = 1e-5;
  double relative_tolerance = 1e-3;
};

/// Throws Error naming the input, the element, and both values where they differ first. Inputs that
/// require a gradient are checked and must be f64 leaves; `fn` must give the same result when
/// called again (an op with random numbers must start from the same generator state each time).
/// Nobody's grad() changes.
void gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
               const std::vector<Tensor>& inputs, GradcheckOptions options = {});

/// The same for the gradients that grad() gives under create_graph: they are differentiated with
/// respect to the inputs and to the output gradient, which is the last input that messages name.
void gradgradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                   const std::vector<Tensor>& inputs, GradcheckOptions options = {});

}  // namespace trireme
