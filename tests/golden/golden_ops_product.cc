// Products and recurrent layers: ops.h, products.h, recurrent.h.

#include "core/ops/ops.h"
#include "tests/golden/golden_ops.h"

namespace trireme::testing {
namespace {

using With = const Arguments&;

AttentionOptions attention_options(Operands& in, With with) {
  AttentionOptions options{.causal = with.value("causal", false), .mask = in["mask"]};
  if (with.contains("scale")) options.scale = with.at("scale").get<double>();
  return options;
}

RecurrentWeights weights(Operands& in) {
  return {in["weight_ih"], in["weight_hh"], in["bias_ih"], in["bias_hh"]};
}
RecurrentOptions recurrent_options(Operands& in, With with) {
  return {in["lengths"],
          with.value("backward", false) ? TimeOrder::kBackward : TimeOrder::kForward};
}

}  // namespace

GoldenOps golden_product_ops() {
  return {
      {"matmul", [](Operands& in, With) { return Tensors{matmul(in["a"], in["b"])}; }},
      {"bmm", [](Operands& in, With) { return Tensors{bmm(in["a"], in["b"])}; }},
      {"linear",
       [](Operands& in, With) { return Tensors{linear(in["x"], in["weight"], in["bias"])}; }},
      {"addmm",
       [](Operands& in, With with) {
         return Tensors{addmm(in["x"], in["a"], in["b"], with.at("beta"), with.at("alpha"))};
       }},
      {"einsum",
       [](Operands& in, With with) {
         return Tensors{einsum(with.at("equation").get<std::string>(), in.list())};
       }},
      {"feed_forward",
       [](Operands& in, With) {
         return Tensors{
             feed_forward(in["x"], in["weight1"], in["bias1"], in["weight2"], in["bias2"])};
       }},
      {"scaled_dot_product_attention",
       [](Operands& in, With with) {
         return Tensors{
             scaled_dot_product_attention(in["q"], in["k"], in["v"], attention_options(in, with))};
       }},
      {"scaled_dot_product_attention_qkv",
       [](Operands& in, With with) {
         return Tensors{scaled_dot_product_attention_qkv(
             in["qkv"], with.at("heads"), attention_options(in, with), with.value("kv_heads", 0))};
       }},
      {"rotary_embedding",
       [](Operands& in, With with) {
         return Tensors{rotary_embedding(in["x"], {.theta = with.value("theta", 10000.0),
                                                   .first = with.value("first", 0),
                                                   .rotated = with.value("rotated", -1)})};
       }},
      {"lstm",
       [](Operands& in, With with) {
         const auto [y, h, c] =
             lstm(in["x"], weights(in), in["h0"], in["c0"], recurrent_options(in, with));
         return Tensors{y, h, c};
       }},
      {"gru",
       [](Operands& in, With with) {
         const auto [y, h] = gru(in["x"], weights(in), in["h0"], recurrent_options(in, with));
         return Tensors{y, h};
       }},
      {"rnn",
       [](Operands& in, With with) {
         const auto kind =
             with.contains("nonlinearity") ? Nonlinearity::kRelu : Nonlinearity::kTanh;
         const auto [y, h] = rnn(in["x"], weights(in), in["h0"], kind, recurrent_options(in, with));
         return Tensors{y, h};
       }},
  };
}

}  // namespace trireme::testing
