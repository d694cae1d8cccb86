#include "tests/golden/golden_ops.h"

#include "core/tensor/copy.h"

namespace trireme::testing {

Tensors Operands::list() const {
  Tensors parts;
  while (has(concat("p", parts.size()))) parts.push_back((*this)[concat("p", parts.size())]);
  return parts;
}

void Operands::become_state_of(const Module& module) {
  for (const auto& [name, tensor] : module.state_dict()) {
    copy_inplace(tensor.detach(), tensors_.at(name).detach());
    tensors_[name] = tensor;
  }
}

const GoldenOps& golden_ops() {
  static const GoldenOps all = [] {
    GoldenOps table;
    for (auto* part : {golden_pointwise_ops, golden_reduction_ops, golden_shaping_ops,
                       golden_product_ops, golden_network_ops, golden_modules}) {
      table.merge(part());
    }
    return table;
  }();
  return all;
}

}  // namespace trireme::testing
