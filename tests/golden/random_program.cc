// Steps are proposed blindly: an op with operands of the right dtype. The op itself says whether
// their shapes fit, by throwing InvalidArgument before it touches memory.

#include "tests/golden/random_program.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "core/tensor/transfer.h"

namespace trireme::testing {
namespace {

constexpr double kLargest = 10;  // of a value
constexpr double kMargin = 0.01;
constexpr int64_t kMost = 48;  // elements of a value

/// Whole numbers from a generator.
class Dice {
 public:
  explicit Dice(uint64_t seed) : generator_(seed) {}
  /// In [low, high).
  int64_t in(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(generator_.next_uniform() * double(high - low));
  }
  bool with_chance(double p) { return generator_.next_uniform() < p; }
  template <typename T>
  const T& of(const std::vector<T>& choices) {
    return choices[static_cast<size_t>(in(0, static_cast<int64_t>(choices.size())))];
  }

 private:
  Generator generator_;
};

using Values = std::vector<std::vector<double>>;

/// Every element is at least the margin from 0.
bool clear_of_zero(const Values& x) {
  return std::all_of(x[0].begin(), x[0].end(), [](double v) { return std::abs(v) > kMargin; });
}
bool is_positive(const Values& x) {
  return std::all_of(x[0].begin(), x[0].end(), [](double v) { return v > 0.2; });
}
/// No two elements of the first operand, or of the first two together, are close to each other.
bool has_no_ties(const Values& x) {
  std::vector<double> all;
  for (const auto& values : x) all.insert(all.end(), values.begin(), values.end());
  std::sort(all.begin(), all.end());
  return std::adjacent_find(all.begin(), all.end(),
                            [](double a, double b) { return b - a < kMargin; }) == all.end();
}
/// No divisor is close to 0.
bool divides(const Values& x) {
  return std::all_of(x[1].begin(), x[1].end(), [](double v) { return std::abs(v) > 0.3; });
}
/// The elements are not all alike.
bool is_spread(const Values& x) {
  const auto [low, high] = std::minmax_element(x[0].begin(), x[0].end());
  return *high - *low > 0.5;
}
/// Every element is at least the margin from the bounds of clamp below.
bool clear_of_bounds(const Values& x) {
  return std::all_of(x[0].begin(), x[0].end(), [](double v) {
    return std::abs(v + 0.75) > kMargin && std::abs(v - 0.5) > kMargin;
  });
}
bool always(const Values&) { return true; }

int rank_of(const Tensor& x) { return std::max(x.rank(), 1); }

struct Proposal {
  std::string op;
  /// Letters behind `:` choose the dtype: none f64, i numbers, b booleans.
  std::vector<std::string> operands;
  std::function<Arguments(Dice&, const Tensor& first)> arguments;
  bool (*holds)(const Values& operands) = always;
};

Arguments none(Dice&, const Tensor&) { return Arguments::object(); }
Arguments dim(Dice& dice, const Tensor& x) {
  return {{"dim", dice.in(-rank_of(x), rank_of(x))}, {"keep", dice.with_chance(0.7)}};
}
Arguments new_dim(Dice& dice, const Tensor& x) { return {{"dim", dice.in(0, x.rank() + 1)}}; }
Arguments dims(Dice& dice, const Tensor& x) {
  std::vector<int64_t> chosen = {dice.in(0, rank_of(x))};
  const int64_t second = dice.in(0, rank_of(x));
  if (second != chosen[0]) chosen.push_back(second);
  return {{"dims", chosen}, {"keep", dice.with_chance(0.7)}, {"p", 3}, {"correction", 0}};
}
Arguments order(Dice& dice, const Tensor& x) {
  return {{"dim", dice.in(0, rank_of(x))},
          {"k", 2},
          {"order", dice.with_chance(0.5) ? "ascending" : "descending"}};
}
Arguments two_dims(Dice& dice, const Tensor& x) {
  return {{"dim0", dice.in(0, rank_of(x))}, {"dim1", dice.in(0, rank_of(x))}};
}
Arguments piece(Dice& dice, const Tensor& x) {
  const int64_t at = dice.in(0, rank_of(x)), extent = x.rank() > 0 ? x.shape()[int(at)] : 1;
  const int64_t begin = dice.in(0, extent);
  return {{"dim", at}, {"begin", begin}, {"end", dice.in(begin, extent) + 1}, {"size", 2}};
}
Arguments pieces(Dice& dice, const Tensor& x) {
  return {{"dim", dice.in(0, rank_of(x))}, {"count", 2}};
}
Arguments shape(Dice& dice, const Tensor&) {
  const std::vector<std::vector<int64_t>> shapes = {{-1}, {2, -1}, {-1, 3}, {1, -1, 4}};
  return {{"shape", dice.of(shapes)}};
}
Arguments wider(Dice&, const Tensor& x) {
  std::vector<int64_t> shape = {2}, repeats = {2};
  for (int64_t extent : x.shape()) {
    shape.push_back(extent);
    repeats.push_back(1);
  }
  return {{"shape", shape}, {"repeats", repeats}};
}
Arguments around(Dice& dice, const Tensor&) {
  return {{"padding", {dice.in(0, 2), dice.in(0, 2)}}, {"value", 0.25}};
}
Arguments fixed(Arguments with) { return with; }

/// Arguments that do not depend on anything.
std::function<Arguments(Dice&, const Tensor&)> with(Arguments arguments) {
  return [arguments](Dice&, const Tensor&) { return fixed(arguments); };
}

const std::vector<Proposal>& proposals() {
  static const std::vector<Proposal> all = [] {
    std::vector<Proposal> list;
    for (const char* op :
         {"neg", "tanh", "sigmoid", "sin", "cos", "square", "exp", "silu", "mish"}) {
      list.push_back({op, {"x"}, none});
    }
    for (const char* op : {"relu", "abs"}) list.push_back({op, {"x"}, none, clear_of_zero});
    for (const char* op : {"log", "sqrt", "rsqrt", "reciprocal"}) {
      list.push_back({op, {"x"}, none, is_positive});
    }
    for (const char* op : {"add", "sub", "mul", "matmul", "bmm"}) {
      list.push_back({op, {"a", "b"}, none});
    }
    for (const char* op : {"maximum", "minimum", "greater"}) {
      list.push_back({op, {"a", "b"}, none, has_no_ties});
    }
    for (const char* op : {"max", "min"}) list.push_back({op, {"x"}, dim, has_no_ties});
    for (const char* op : {"sort", "argsort", "topk"}) {
      list.push_back({op, {"x"}, order, has_no_ties});
    }
    for (const char* op : {"sum", "mean", "var"}) list.push_back({op, {"x"}, dims});
    for (const char* op : {"prod", "cumsum", "softmax", "log_softmax", "glu", "squeeze"}) {
      list.push_back({op, {"x"}, dim});
    }
    for (const char* op : {"tril", "triu"}) list.push_back({op, {"x"}, with({{"diagonal", 0}})});
    for (const char* op : {"slice", "split"}) list.push_back({op, {"x"}, piece});
    list.push_back({"chunk", {"x"}, pieces});
    for (const char* op : {"expand", "repeat"}) list.push_back({op, {"x"}, wider});
    for (const char* op : {"layer_norm", "rms_norm"}) {
      list.push_back({op, {"x"}, none, is_spread});
    }
    list.insert(list.end(),
                {{"div", {"a", "b"}, none, divides},
                 {"norm", {"x"}, dims, clear_of_zero},
                 {"group_norm", {"x"}, with({{"groups", 2}}), is_spread},
                 {"gelu", {"x"}, with({{"form", "erf"}})},
                 {"softplus", {"x"}, with({{"beta", 2}, {"threshold", 60}})},
                 {"leaky_relu", {"x"}, with({{"slope", 0.25}}), clear_of_zero},
                 {"swiglu", {"gate", "x"}, none},
                 {"where", {"condition:b", "a", "b"}, none},
                 {"masked_fill", {"x", "mask:b"}, with({{"value", 0.5}})},
                 {"linear", {"x", "weight"}, none},
                 {"addmm", {"x", "a", "b"}, with({{"beta", 0.5}, {"alpha", -0.75}})},
                 {"einsum", {"p0", "p1"}, with({{"equation", "...ij,...kj->...ki"}})},
                 {"transpose", {"x"}, two_dims},
                 {"reshape", {"x"}, shape},
                 {"unsqueeze", {"x"}, new_dim},
                 {"stack", {"p0", "p1"}, new_dim},
                 {"concat", {"p0", "p1"}, dim},
                 {"flip", {"x"}, with({{"dims", {0}}})},
                 {"pad", {"x"}, around},
                 {"gather", {"x", "index:i"}, dim},
                 {"index_select", {"x", "index:i"}, dim},
                 {"scatter_add", {"x", "index:i", "src"}, dim},
                 {"embedding", {"weight", "ids:i"}, none},
                 {"cross_entropy", {"logits", "targets:i"}, none},
                 {"mse_loss", {"x", "targets"}, none},
                 {"nll_loss", {"log_p", "targets:i"}, none},
                 {"l1_loss", {"x", "targets"}, none, has_no_ties},
                 {"smooth_l1_loss", {"x", "targets"}, with({{"beta", 0.75}})},
                 {"binary_cross_entropy_with_logits", {"x", "targets"}, none},
                 {"clamp", {"x"}, with({{"low", -0.75}, {"high", 0.5}}), clear_of_bounds},
                 {"pow", {"x"}, with({{"exponent", 1.5}}), is_positive},
                 {"conv1d", {"x", "weight"}, with({{"padding", {1}}})},
                 {"conv_transpose1d", {"x", "weight"}, with({{"stride", {2}}})},
                 {"max_pool2d", {"x"}, with({{"kernel", {1, 2}}}), has_no_ties},
                 {"avg_pool2d", {"x"}, with({{"kernel", {2, 1}}})},
                 {"rotary_embedding", {"x"}, none},
                 {"scaled_dot_product_attention", {"q", "k", "v"}, with({{"causal", true}})}});
    return list;
  }();
  return all;
}

bool fits(const Tensor& result) {
  if (result.numel() == 0 || result.numel() > kMost || result.rank() > 4) return false;
  if (result.dtype() != DType::kF64) return true;
  const auto values = result.to_vector<double>();  // a NaN compares false
  return std::all_of(values.begin(), values.end(),
                     [](double v) { return std::abs(v) <= kLargest; });
}

/// A step with its results, or nothing where the operands do not fit.
std::optional<std::pair<Step, Tensors>> propose(Dice& dice, const std::vector<Tensor>& values) {
  const Proposal& proposal = dice.of(proposals());
  Step step;
  step.op = proposal.op;
  Values operands;
  Tensor first;
  for (const std::string& operand : proposal.operands) {
    const DType dtype = operand.ends_with(":i")   ? DType::kI64
                        : operand.ends_with(":b") ? DType::kBool
                                                  : DType::kF64;
    std::vector<size_t> fitting;
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].dtype() == dtype) fitting.push_back(i);
    }
    if (fitting.empty()) return {};
    // Mostly what has just been made: the graph becomes deep.
    constexpr size_t kRecent = 6;
    if (fitting.size() > kRecent && dice.with_chance(0.6)) {
      fitting.erase(fitting.begin(), fitting.end() - kRecent);
    }
    const size_t at = dice.of(fitting);
    step.operands[operand.substr(0, operand.find(':'))] = at;
    if (!first) first = values[at];
    if (dtype == DType::kF64) operands.push_back(values[at].to_vector<double>());
  }
  step.arguments = proposal.arguments(dice, first);
  if (!operands.empty() && !proposal.holds(operands)) return {};
  try {
    Tensors results = run_step(step, values);
    if (std::all_of(results.begin(), results.end(), fits)) return {{step, results}};
  } catch (const InvalidArgument&) {
  }
  return {};
}

}  // namespace

std::set<std::string> random_program_ops() {
  std::set<std::string> ops;
  for (const Proposal& proposal : proposals()) ops.insert(proposal.op);
  return ops;
}

Program make_random_program(uint64_t seed, int steps) {
  const NoGrad guard;
  Dice dice(seed);
  Program program;
  for (const Shape& shape : std::vector<Shape>{
           {3, 4}, {4}, {2, 3, 4}, {4, 3}, {3, 1}, {}, {2, 4, 4}, {1, 2, 3, 4}, {4, 2, 3}}) {
    std::vector<double> values;
    for (int64_t i = 0; i < shape.product(); ++i)
      values.push_back(double(dice.in(-999, 999)) / 500);
    program.inputs.push_back(from_vector(values, shape, test_device()));
  }
  std::vector<int64_t> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(dice.in(0, 3));
  program.inputs.push_back(from_vector(ids, {3}, test_device()));
  std::vector<Tensor> values = program.inputs;
  while (program.steps.size() < static_cast<size_t>(steps)) {
    auto step = propose(dice, values);
    if (!step) continue;
    program.steps.push_back(std::move(step->first));
    values.insert(values.end(), step->second.begin(), step->second.end());
  }
  return program;
}

}  // namespace trireme::testing
