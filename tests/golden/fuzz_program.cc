#include "tests/golden/fuzz_program.h"

#include <cmath>
#include <set>
#include <span>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "core/tensor/transfer.h"

namespace trireme::testing {
namespace {

Tensor waves_like(const Tensor& x) {
  std::vector<double> values;
  for (int64_t i = 0; i < x.numel(); ++i) values.push_back(std::cos(double(i + 1)));
  return from_vector(values, x.shape(), x.device());
}

}  // namespace

Program parse_program(const nlohmann::json& entry) {
  Program program;
  for (const auto& input : entry.at("inputs")) {
    const auto shape = input.at("shape").get<std::vector<int64_t>>();
    const auto values = input.at("values").get<std::vector<double>>();
    const DType dtype = parse_dtype(input.at("dtype").get<std::string>());
    const Tensor x = cast(from_vector(values, Shape(std::span<const int64_t>(shape))), dtype);
    program.inputs.push_back(to_device(x, test_device()));
  }
  for (const auto& step : entry.at("steps")) {
    program.steps.push_back({step.at("op"), step.at("in"), step.at("with")});
  }
  return program;
}

std::string describe(const Program& program) {
  std::string text;
  for (const Tensor& x : program.inputs) text += concat("\n  ", x);
  for (const Step& step : program.steps) {
    text += concat("\n  ", step.op, nlohmann::json(step.operands).dump(), step.arguments.dump());
  }
  return text;
}

Tensors run_step(const Step& step, const std::vector<Tensor>& values) {
  Operands in(DType::kF64);
  for (const auto& [name, at] : step.operands) in.set(name, values.at(at));
  return golden_ops().at(step.op)(in, step.arguments);
}

Tensor loss_of(const Program& program, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> values = inputs;
  std::set<size_t> taken;
  for (const Step& step : program.steps) {
    for (const auto& [name, at] : step.operands) taken.insert(at);
    for (const Tensor& result : run_step(step, values)) values.push_back(result);
  }
  Tensor loss = zeros({}, {DType::kF64, test_device()});
  for (size_t i = inputs.size(); i < values.size(); ++i) {
    if (taken.contains(i) || values[i].dtype() != DType::kF64) continue;
    loss = loss + mean(values[i] * waves_like(values[i]));
  }
  return loss;
}

Differentiated differentiate(const Program& program) {
  std::vector<Tensor> leaves;
  for (const Tensor& x : program.inputs) {
    leaves.push_back(clone_detached(x));
    if (x.dtype() == DType::kF64) leaves.back().set_requires_grad();
  }
  const Tensor loss = loss_of(program, leaves);
  if (loss.requires_grad()) backward(loss);
  Differentiated result;
  result.loss = loss.item();
  for (const Tensor& leaf : leaves) {
    result.gradients.push_back(leaf.requires_grad() ? leaf.grad() : Tensor());
  }
  return result;
}

}  // namespace trireme::testing
