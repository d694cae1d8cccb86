// Gpt against Hugging Face's GPT-2: the same weights give the same numbers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/optim/adam.h"
#include "core/optim/clip.h"
#include "tests/models/gpt2_golden.h"

namespace trireme {
namespace {

using testing::golden;
using testing::GoldenGpt;

void expect_near(const Tensor& x, const std::vector<double>& expected, double tolerance,
                 const std::string& what) {
  const auto values = x.to_vector<double>();
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(values[i], expected[i], tolerance) << what << " element " << i;
  }
}

void expect_forward(DType dtype, double tolerance) {
  const GoldenGpt model(dtype);
  const auto file = golden();
  expect_near(model.gpt.forward(model.ids), file.at("logits"), tolerance, "logits");
  EXPECT_NEAR(model.gpt.loss(model.ids, model.targets).item(), file.at("loss"), tolerance);
}

TEST(GptGolden, GivesTheSameLogitsAndLoss) {
  expect_forward(DType::kF64, 1e-12);
  expect_forward(DType::kF32, 1e-5);
}

TEST(GptGolden, GivesTheSameGradients) {
  const GoldenGpt model(DType::kF64);
  const auto file = golden();
  backward(model.gpt.loss(model.ids, model.targets));
  const auto norms = file.at("gradient_norms");
  const StateDict parameters = model.gpt.named_parameters();
  ASSERT_EQ(norms.size(), parameters.size());
  for (const auto& [name, p] : parameters) {
    EXPECT_NEAR(grad_norm({{name, p}}), norms.at(name), 1e-12) << name;
    if (const auto& full = file.at("gradients"); full.contains(name)) {
      expect_near(p.grad(), full.at(name), 1e-12, name);
    }
  }
}

void expect_training(DType dtype, double tolerance) {
  const GoldenGpt model(dtype);
  const auto t = golden().at("training");
  const StateDict parameters = model.gpt.named_parameters();
  AdamW optimizer(
      decay_matrices_only(parameters, t.at("weight_decay")),
      {.lr = t.at("lr"), .beta1 = t.at("beta1"), .beta2 = t.at("beta2"), .eps = t.at("eps")});
  const auto losses = t.at("losses").get<std::vector<double>>();
  const auto norms = t.at("norms").get<std::vector<double>>();
  ASSERT_FALSE(losses.empty());
  for (size_t step = 0; step < losses.size(); ++step) {
    const Tensor loss = model.gpt.loss(model.ids, model.targets);
    EXPECT_NEAR(loss.item(), losses[step], tolerance) << "step " << step;
    backward(loss);
    const GradientNorm g = clip_grad_norm(parameters, t.at("clip"));
    EXPECT_NEAR(g.norm.item(), norms[step], tolerance) << "step " << step;
    optimizer.step(g.factor);
    optimizer.zero_grad();
  }
}

TEST(GptGolden, TrainsAlike) {
  // torch adds 1e-6 to the norm it divides by, which shows in f64.
  expect_training(DType::kF64, 2e-6);
  expect_training(DType::kF32, 2e-4);
}

TEST(GptGolden, ContinuesAlike) {
  GoldenGpt model(DType::kF64);
  const auto expected = golden().at("greedy").get<std::vector<int64_t>>();
  const std::vector<int64_t> prompt(expected.begin(), expected.begin() + 3);
  const auto count = static_cast<int64_t>(expected.size()) - 3;
  EXPECT_EQ(model.gpt.generate(prompt, count, {.temperature = 0}, model.generator), expected);
}

}  // namespace
}  // namespace trireme
