// Reductions, statistics and order: ops.h, statistics.h, indexing.h.

#include "core/ops/ops.h"
#include "tests/golden/golden_ops.h"

namespace trireme::testing {
namespace {

KeepDim keep(const Arguments& with) {
  return with.value("keep", false) ? KeepDim::kYes : KeepDim::kNo;
}
std::vector<int> dims(const Arguments& with) { return with.at("dims").get<std::vector<int>>(); }
Order order(const Arguments& with) {
  return with.at("order") == "ascending" ? Order::kAscending : Order::kDescending;
}

/// Over everything, or over `dims`. One dimension goes through the overload for it.
template <typename All, typename One, typename Several>
GoldenOp over_dims(All all, One one, Several several) {
  return [=](Operands& in, const Arguments& with) {
    if (!with.contains("dims")) return Tensors{all(in["x"], with)};
    const std::vector<int> over = dims(with);
    if (over.size() == 1) return Tensors{one(in["x"], over[0], with)};
    return Tensors{several(in["x"], std::span<const int>(over), with)};
  };
}

/// Over everything, or over `dim`.
GoldenOp over_dim(Tensor (*all)(const Tensor&), Tensor (*one)(const Tensor&, int, KeepDim)) {
  return [=](Operands& in, const Arguments& with) {
    if (!with.contains("dim")) return Tensors{all(in["x"])};
    return Tensors{one(in["x"], with.at("dim"), keep(with))};
  };
}

VarOptions var_options(const Arguments& with) {
  return {.correction = with.value("correction", 1.0), .keep = keep(with)};
}

/// JSON has no infinity.
double exponent(const Arguments& with) {
  const auto& p = with.at("p");
  return p.is_string() ? std::stod(p.get<std::string>()) : p.get<double>();
}

}  // namespace

GoldenOps golden_reduction_ops() {
  using In = const Tensor&;
  using With = const Arguments&;
  using Dims = std::span<const int>;
  return {
      {"sum", over_dims([](In x, With) { return sum(x); },
                        [](In x, int dim, With with) { return sum(x, dim, keep(with)); },
                        [](In x, Dims dims, With with) { return sum(x, dims, keep(with)); })},
      {"mean", over_dims([](In x, With) { return mean(x); },
                         [](In x, int dim, With with) { return mean(x, dim, keep(with)); },
                         [](In x, Dims dims, With with) { return mean(x, dims, keep(with)); })},
      {"var",
       over_dims([](In x, With with) { return var(x, var_options(with)); },
                 [](In x, int dim, With with) { return var(x, dim, var_options(with)); },
                 [](In x, Dims dims, With with) { return var(x, dims, var_options(with)); })},
      {"std",
       over_dims(
           [](In x, With with) { return trireme::std(x, var_options(with)); },
           [](In x, int dim, With with) { return trireme::std(x, dim, var_options(with)); },
           [](In x, Dims dims, With with) { return trireme::std(x, dims, var_options(with)); })},
      {"norm",
       over_dims(
           [](In x, With with) { return norm(x, exponent(with)); },
           [](In x, int dim, With with) { return norm(x, exponent(with), {dim}, keep(with)); },
           [](In x, Dims dims, With with) { return norm(x, exponent(with), dims, keep(with)); })},
      {"max", over_dim(max, max)},
      {"min", over_dim(min, min)},
      {"prod", over_dim(prod, prod)},
      {"argmax", [](Operands& in, With with) { return Tensors{argmax(in["x"], with.at("dim"))}; }},
      {"argmin", [](Operands& in, With with) { return Tensors{argmin(in["x"], with.at("dim"))}; }},
      {"cumsum", [](Operands& in, With with) { return Tensors{cumsum(in["x"], with.at("dim"))}; }},
      {"sum_to",
       [](Operands& in, With with) {
         const auto shape = with.at("shape").get<std::vector<int64_t>>();
         return Tensors{sum_to(in["x"], Shape(shape))};
       }},
      {"sort",
       [](Operands& in, With with) {
         const auto [values, indices] = sort(in["x"], with.at("dim"), order(with));
         return Tensors{values, indices};
       }},
      {"argsort", [](Operands& in,
                     With with) { return Tensors{argsort(in["x"], with.at("dim"), order(with))}; }},
      {"topk",
       [](Operands& in, With with) {
         const auto [values, indices] = topk(in["x"], with.at("k"), with.at("dim"), order(with));
         return Tensors{values, indices};
       }},
  };
}

}  // namespace trireme::testing
