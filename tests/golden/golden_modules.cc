// The layers of core/nn.

#include "core/nn/convolution.h"
#include "core/nn/recurrent.h"
#include "core/nn/sequential.h"
#include "core/nn/transformer.h"
#include "tests/golden/convolution_arguments.h"

namespace trireme::testing {
namespace {

using With = const Arguments&;

// Initial values are overwritten.
Generator& generator() {
  static Generator generator;
  return generator;
}

double eps(With with) { return with.at("eps"); }
Bias bias_in(const Operands& in, const char* name = "bias") {
  return in.has(name) ? Bias::kYes : Bias::kNo;
}

template <typename Layer>
Tensors forward(Layer&& layer, Operands& in, const char* operand = "x") {
  in.become_state_of(layer);
  return {layer.forward(in[operand])};
}

Tensors linear_layer(Operands& in, With) {
  const Shape& shape = in["weight"].shape();
  return forward(Linear(shape[0], shape[1], generator(), bias_in(in), in.options()), in);
}

Tensors conv_layer(Operands& in, With with) {
  const Shape shape = in["weight"].shape();
  return forward(Conv2d(shape[3] * groups_in(with), shape[0], {shape[1], shape[2]}, generator(),
                        conv2d_options(with), bias_in(in), in.options()),
                 in);
}
Tensors conv1d_layer(Operands& in, With with) {
  const Shape shape = in["weight"].shape();
  return forward(Conv1d(shape[2] * groups_in(with), shape[0], shape[1], generator(),
                        conv1d_options(with), bias_in(in), in.options()),
                 in);
}
Tensors transposed_layer(Operands& in, With with) {
  const Shape shape = in["weight"].shape();
  return forward(
      ConvTranspose2d(shape[0], shape[3] * groups_in(with), {shape[1], shape[2]}, generator(),
                      conv_transpose2d_options(with), bias_in(in), in.options()),
      in);
}
Tensors transposed1d_layer(Operands& in, With with) {
  const Shape shape = in["weight"].shape();
  return forward(ConvTranspose1d(shape[0], shape[2] * groups_in(with), shape[1], generator(),
                                 conv_transpose1d_options(with), bias_in(in), in.options()),
                 in);
}

Tensors batch_norm_layer(Operands& in, With with) {
  BatchNorm layer(in["weight"].size(0), with.at("momentum"), eps(with), in.options());
  layer.train(with.at("training"));
  const Tensor y = forward(layer, in)[0];
  return {y, in["running_mean"], in["running_var"]};
}

RecurrentConfig config(Operands& in, With with) {
  return {.in = in["x"].size(2),
          .hidden = with.at("hidden"),
          .layers = with.at("layers"),
          .directions = with.at("both").get<bool>() ? Directions::kBoth : Directions::kOne,
          .bias = bias_in(in, "bias_ih_l0")};
}
Tensors lstm_layers(Operands& in, With with) {
  const Lstm net(config(in, with), generator(), in.options());
  in.become_state_of(net);
  const auto [y, state] = net.forward(in["x"], {in["h0"], in["c0"]}, in["lengths"]);
  return {y, state.h, state.c};
}
Tensors gru_layers(Operands& in, With with) {
  const Gru net(config(in, with), generator(), in.options());
  in.become_state_of(net);
  const auto [y, h] = net.forward(in["x"], in["h0"], in["lengths"]);
  return {y, h};
}
Tensors rnn_layers(Operands& in, With with) {
  const auto kind = with.contains("nonlinearity") ? Nonlinearity::kRelu : Nonlinearity::kTanh;
  const Rnn net(config(in, with), generator(), kind, in.options());
  in.become_state_of(net);
  const auto [y, h] = net.forward(in["x"], in["h0"], in["lengths"]);
  return {y, h};
}

Tensors self_attention(Operands& in, With with) {
  SelfAttentionConfig config{.dim = in["x"].size(2), .heads = with.at("heads")};
  config.kv_heads = with.value("kv_heads", 0);
  config.bias = bias_in(in, "c_attn.bias");
  if (with.contains("rope_theta")) config.rope_theta = with.at("rope_theta").get<double>();
  return forward(CausalSelfAttention(config, generator(), in.options()), in);
}

Tensors feed_forward_layers(Operands& in, With with) {
  FeedForwardConfig config{.dim = in["x"].size(2)};
  config.hidden = with.value("hidden", 0);
  config.bias = bias_in(in, "c_fc.bias");
  if (in.has("c_gate.weight")) config.kind = FeedForwardKind::kSwiGlu;
  return forward(FeedForward(config, generator(), in.options()), in);
}

Tensors sequential(Operands& in, With) {
  Sequential net;
  net.add<Linear>(in["0.weight"].size(0), in["0.weight"].size(1), generator(), Bias::kYes,
                  in.options());
  net.then(relu);
  net.add<Linear>(in["2.weight"].size(0), in["2.weight"].size(1), generator(), Bias::kYes,
                  in.options());
  return forward(net, in);
}

}  // namespace

GoldenOps golden_modules() {
  return {
      {"Linear", linear_layer},
      {"Embedding",
       [](Operands& in, With) {
         const Shape shape = in["weight"].shape();
         return forward(Embedding(shape[0], shape[1], generator(), in.options()), in, "ids");
       }},
      {"LayerNorm",
       [](Operands& in, With with) {
         return forward(LayerNorm(in["weight"].size(0), eps(with), in.options(), bias_in(in)), in);
       }},
      {"RMSNorm",
       [](Operands& in, With with) {
         return forward(RMSNorm(in["weight"].size(0), eps(with), in.options()), in);
       }},
      {"GroupNorm",
       [](Operands& in, With with) {
         return forward(GroupNorm(with.at("groups"), in["weight"].size(0), eps(with), in.options()),
                        in);
       }},
      {"BatchNorm", batch_norm_layer},
      {"Conv2d", conv_layer},
      {"Conv1d", conv1d_layer},
      {"ConvTranspose2d", transposed_layer},
      {"ConvTranspose1d", transposed1d_layer},
      {"Lstm", lstm_layers},
      {"Gru", gru_layers},
      {"Rnn", rnn_layers},
      {"CausalSelfAttention", self_attention},
      {"FeedForward", feed_forward_layers},
      {"Sequential", sequential},
  };
}

}  // namespace trireme::testing
