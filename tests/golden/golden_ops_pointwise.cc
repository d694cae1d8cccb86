// Element by element: ops.h, activations.h, comparing.h.

#include "core/ops/ops.h"
#include "tests/golden/golden_ops.h"

namespace trireme::testing {
namespace {

using Unary = Tensor (*)(const Tensor&);
using Binary = Tensor (*)(const Tensor&, const Tensor&);
using WithScalar = Tensor (*)(const Tensor&, double);

GoldenOp unary(Unary op) {
  return [op](Operands& in, const Arguments&) { return Tensors{op(in["x"])}; };
}
GoldenOp binary(Binary op) {
  return [op](Operands& in, const Arguments&) { return Tensors{op(in["a"], in["b"])}; };
}
/// Of two tensors, or of a tensor and a number.
GoldenOp binary(Binary op, WithScalar scalar) {
  return [=](Operands& in, const Arguments& with) {
    if (with.contains("value")) return Tensors{scalar(in["x"], with.at("value"))};
    return Tensors{op(in["a"], in["b"])};
  };
}

}  // namespace

GoldenOps golden_pointwise_ops() {
  return {
      {"neg", unary(neg)},
      {"exp", unary(exp)},
      {"log", unary(log)},
      {"sqrt", unary(sqrt)},
      {"rsqrt", unary(rsqrt)},
      {"reciprocal", unary(reciprocal)},
      {"square", unary(square)},
      {"abs", unary(abs)},
      {"sin", unary(sin)},
      {"cos", unary(cos)},
      {"tanh", unary(tanh)},
      {"sigmoid", unary(sigmoid)},
      {"relu", unary(relu)},
      {"silu", unary(silu)},
      {"mish", unary(mish)},
      {"logical_not", unary(logical_not)},
      {"contiguous", unary(contiguous)},
      {"gelu",
       [](Operands& in, const Arguments& with) {
         return Tensors{gelu(in["x"], with.at("form") == "tanh" ? Gelu::kTanh : Gelu::kErf)};
       }},
      {"elu",
       [](Operands& in, const Arguments& with) { return Tensors{elu(in["x"], with.at("alpha"))}; }},
      {"softplus",
       [](Operands& in, const Arguments& with) {
         return Tensors{softplus(in["x"], with.at("beta"), with.at("threshold"))};
       }},
      {"leaky_relu",
       [](Operands& in, const Arguments& with) {
         return Tensors{leaky_relu(in["x"], with.at("slope"))};
       }},
      {"clamp",
       [](Operands& in, const Arguments& with) {
         return Tensors{clamp(in["x"], with.at("low"), with.at("high"))};
       }},
      {"pow", [](Operands& in,
                 const Arguments& with) { return Tensors{pow(in["x"], with.at("exponent"))}; }},
      {"glu",
       [](Operands& in, const Arguments& with) { return Tensors{glu(in["x"], with.at("dim"))}; }},
      {"swiglu",
       [](Operands& in, const Arguments&) { return Tensors{swiglu(in["gate"], in["x"])}; }},
      {"to",
       [](Operands& in, const Arguments& with) {
         return Tensors{to(in["x"], parse_dtype(with.at("dtype").get<std::string>()))};
       }},
      {"add", binary(add, add)},
      {"sub", binary(sub)},
      {"mul", binary(mul, mul)},
      {"div", binary(div, div)},
      {"maximum", binary(maximum)},
      {"minimum", binary(minimum)},
      {"equal", binary(equal, equal)},
      {"not_equal", binary(not_equal, not_equal)},
      {"greater", binary(greater, greater)},
      {"greater_equal", binary(greater_equal, greater_equal)},
      {"less", binary(less, less)},
      {"less_equal", binary(less_equal, less_equal)},
      {"logical_and", binary(logical_and)},
      {"logical_or", binary(logical_or)},
      {"logical_xor", binary(logical_xor)},
      {"where", [](Operands& in,
                   const Arguments&) { return Tensors{where(in["condition"], in["a"], in["b"])}; }},
      {"masked_fill",
       [](Operands& in, const Arguments& with) {
         return Tensors{masked_fill(in["x"], in["mask"], with.at("value"))};
       }},
      {"add_inplace",
       [](Operands& in, const Arguments& with) {
         add_inplace(in["y"], in["x"], with.at("alpha"));
         return Tensors{in["y"]};
       }},
      {"mul_inplace",
       [](Operands& in, const Arguments& with) {
         mul_inplace(in["y"], with.at("value"));
         return Tensors{in["y"]};
       }},
  };
}

}  // namespace trireme::testing
