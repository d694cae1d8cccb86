// Gpt against Llama in PyTorch: the same weights give the same numbers.

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/autograd/backward.h"
#include "core/optim/adam.h"
#include "core/optim/clip.h"
#include "tests/models/llama_golden.h"

namespace trireme {
namespace {

using testing::GoldenLlama;

class LlamaGolden : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Both, LlamaGolden, ::testing::Values("llama_tiny", "llama_tiny_tied"),
                         [](const auto& name) { return std::string(name.param); });

void expect_near(const std::vector<double>& values, const std::vector<double>& expected,
                 double tolerance, const std::string& what) {
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(values[i], expected[i], tolerance) << what << " element " << i;
  }
}

TEST_P(LlamaGolden, GivesTheSameLogitsAndLoss) {
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-12}, {DType::kF32, 1e-5}}) {
    const GoldenLlama model(GetParam(), dtype);
    expect_near(model.gpt.forward(model.ids).to_vector<double>(), model.golden.at("logits"),
                tolerance, "logits");
    EXPECT_NEAR(model.gpt.loss(model.ids, model.targets).item(), model.golden.at("loss"),
                tolerance);
  }
}

/// The gradients under the names and in the layouts of the file: what llama_weights does to weights
/// is linear, so a file of gradients must become ours.
TEST_P(LlamaGolden, GivesTheSameGradients) {
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-12}, {DType::kF32, 1e-5}}) {
    const GoldenLlama model(GetParam(), dtype);
    backward(model.gpt.loss(model.ids, model.targets));
    std::map<std::string, Tensor> gradients;
    for (const auto& [name, p] : model.gpt.named_parameters()) gradients[name] = p.grad();

    const GptConfig& c = model.gpt.config();
    const int64_t kv_width = c.kv_heads * (c.dim / c.heads);
    const auto transposed = [](const Tensor& x) { return transpose(x, 0, 1).to_vector<double>(); };
    const auto& full = model.golden.at("gradients");
    expect_near(gradients.at("wte.weight").to_vector<double>(),
                full.at("model.embed_tokens.weight"), tolerance, "token table");
    expect_near(gradients.at("h.0.ln_1.weight").to_vector<double>(),
                full.at("model.layers.0.input_layernorm.weight"), tolerance, "norm");
    expect_near(transposed(gradients.at("h.0.mlp.c_gate.weight")),
                full.at("model.layers.0.mlp.gate_proj.weight"), tolerance, "gate");
    const Tensor packed = gradients.at("h.0.attn.c_attn.weight");
    expect_near(transposed(slice(packed, 1, c.dim, c.dim + kv_width)),
                full.at("model.layers.0.self_attn.k_proj.weight"), tolerance, "keys");

    double squares = 0;
    for (const auto& [name, norm] : model.golden.at("gradient_norms").items()) {
      squares += norm.get<double>() * norm.get<double>();
    }
    EXPECT_NEAR(grad_norm(model.gpt.named_parameters()), std::sqrt(squares), tolerance);
  }
}

TEST_P(LlamaGolden, TrainsAlike) {
  // torch adds 1e-6 to the norm it divides by, which shows in f64.
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 3e-6}, {DType::kF32, 2e-4}}) {
    const GoldenLlama model(GetParam(), dtype);
    const auto t = model.golden.at("training");
    const StateDict parameters = model.gpt.named_parameters();
    AdamW optimizer(
        decay_matrices_only(parameters, t.at("weight_decay")),
        {.lr = t.at("lr"), .beta1 = t.at("beta1"), .beta2 = t.at("beta2"), .eps = t.at("eps")});
    const auto losses = t.at("losses").get<std::vector<double>>();
    ASSERT_EQ(losses.size(), 5u);
    for (size_t step = 0; step < losses.size(); ++step) {
      const Tensor loss = model.gpt.loss(model.ids, model.targets);
      EXPECT_NEAR(loss.item(), losses[step], tolerance) << "step " << step;
      backward(loss);
      optimizer.step(clip_grad_norm(parameters, t.at("clip")).factor);
      optimizer.zero_grad();
    }
  }
}

TEST_P(LlamaGolden, ContinuesAlike) {
  GoldenLlama model(GetParam(), DType::kF64);
  const auto expected = model.golden.at("greedy").get<std::vector<int64_t>>();
  const std::vector<int64_t> prompt(expected.begin(), expected.begin() + 3);
  const auto count = static_cast<int64_t>(expected.size()) - 3;
  EXPECT_EQ(model.gpt.generate(prompt, count, {.temperature = 0}, model.generator), expected);
}

}  // namespace
}  // namespace trireme
