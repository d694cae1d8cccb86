// StateDict: named tensors in a fixed order; how modules, optimizers and checkpoints exchange
// state.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

/// Names are unique and in the order in which their owner registered them
/// ("h.0.attn.c_attn.weight"). The tensors are handles: writing into one changes its owner's state.
using StateDict = std::vector<std::pair<std::string, Tensor>>;

}  // namespace trireme
