// A model whose halves can be used one without the other.

#pragma once

#include "core/nn/layers.h"

namespace trireme::testing {

struct TwoHeads : Module {
  explicit TwoHeads(Generator& generator) : a(2, 1, generator), b(2, 1, generator) {
    register_module("a", a);
    register_module("b", b);
  }
  Linear a, b;
};

}  // namespace trireme::testing
