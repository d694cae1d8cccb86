// Programs of ops as data: what fuzz tests run, compare and print.

#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/golden/golden_ops.h"

namespace trireme::testing {

/// One call: an op of golden_ops.h's table, its operands by the number of a value, its arguments.
struct Step {
  std::string op;
  std::map<std::string, size_t> operands;
  Arguments arguments;
};

/// Values 0, 1 and so on are the inputs (f64 those that get gradients, i64 numbers of elements);
/// every step appends its results to them.
struct Program {
  std::vector<Tensor> inputs;
  std::vector<Step> steps;
};

/// From an entry of fuzz.json, and back in one line per step.
Program parse_program(const nlohmann::json& entry);
std::string describe(const Program& program);

/// The results of a step on these values.
Tensors run_step(const Step& step, const std::vector<Tensor>& values);

/// Runs all steps on `inputs`. The loss is the sum of mean(result * w) over all f64 results that no
/// step took, where element i of w is cos(i + 1).
Tensor loss_of(const Program& program, const std::vector<Tensor>& inputs);

/// The program's inputs as leaves, and the gradients of its loss: undefined where there is none.
struct Differentiated {
  double loss = 0;
  std::vector<Tensor> gradients;
};
Differentiated differentiate(const Program& program);

}  // namespace trireme::testing
