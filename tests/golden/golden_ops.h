// How each op and module that has golden values is called: one table from its name to a function.

#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/nn/module.h"
#include "core/tensor/create.h"
#include "tests/support/test_device.h"

namespace trireme::testing {

using Tensors = std::vector<Tensor>;
using Arguments = nlohmann::json;

/// The operands of a case, by name.
class Operands {
 public:
  /// dtype: of the operands under test.
  explicit Operands(DType dtype) : dtype_(dtype) {}

  /// Undefined where the case has none of that name.
  Tensor operator[](const std::string& name) const {
    const auto it = tensors_.find(name);
    return it == tensors_.end() ? Tensor() : it->second;
  }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  void set(const std::string& name, const Tensor& value) { tensors_[name] = value; }
  /// p0, p1 and so on, as many as there are.
  Tensors list() const;

  /// For what a call makes: parameters, states.
  TensorOptions options() const { return {dtype_, test_device()}; }
  /// Copies operands into the parameters and buffers of the same names, which then are the
  /// operands: gradients are looked for there. Throws std::out_of_range where one has no operand.
  void become_state_of(const Module& module);

 private:
  DType dtype_;
  std::map<std::string, Tensor> tensors_;
};

using GoldenOp = std::function<Tensors(Operands& in, const Arguments& with)>;
using GoldenOps = std::map<std::string, GoldenOp>;

/// The parts of the table.
GoldenOps golden_pointwise_ops();
GoldenOps golden_reduction_ops();
GoldenOps golden_shaping_ops();
GoldenOps golden_product_ops();
GoldenOps golden_network_ops();
GoldenOps golden_modules();

/// All of it.
const GoldenOps& golden_ops();

}  // namespace trireme::testing
