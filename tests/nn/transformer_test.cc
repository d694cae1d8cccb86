#include "core/nn/transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/nn/init.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr TensorOptions kF64{DType::kF64};

// Weights large enough that attention is far from uniform.
void randomise(Module& module, uint64_t seed) {
  Generator generator(seed);
  for (const auto& [name, p] : module.named_parameters()) init::normal(p, 0, 0.7, generator);
}

void expect_near(const Tensor& a, const Tensor& b, double tolerance) {
  ASSERT_EQ(a.shape(), b.shape());
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], tolerance) << "element " << i;
}

TEST(CausalSelfAttention, DoesNotSeeTheFuture) {
  Generator generator(1);
  CausalSelfAttention attention(8, 2, 0, generator, kF64);
  randomise(attention, 2);
  const Tensor x = randn({2, 5, 8}, generator, kF64);
  const Tensor changed = clone_detached(x);
  fill_inplace(slice(changed, 1, 3, 5), 9.0);
  const Tensor y = attention.forward(x), z = attention.forward(changed);
  EXPECT_EQ(slice(y, 1, 0, 3).to_vector<double>(), slice(z, 1, 0, 3).to_vector<double>());
  EXPECT_NE(slice(y, 1, 3, 4).to_vector<double>(), slice(z, 1, 3, 4).to_vector<double>());
}

TEST(CausalSelfAttention, WithDropoutIsTheSameFunctionWhenNothingFalls) {
  // A probability below the resolution of the random numbers: the composed path runs, drops no
  // element, and must agree with the fused op.
  Generator generator(1);
  CausalSelfAttention attention(12, 3, 1e-14, generator, kF64);
  randomise(attention, 2);
  Tensor x = randn({2, 6, 12}, generator, kF64);
  x.set_requires_grad();
  const Tensor dy = randn({2, 6, 12}, generator, kF64);

  const auto run = [&] {
    x.zero_grad();
    attention.zero_grad();
    const Tensor y = attention.forward(x);
    backward(y, {.gradient = dy});
    std::vector<Tensor> results{y.detach(), x.grad().detach()};
    for (const auto& [name, p] : attention.named_parameters()) {
      results.push_back(p.grad().detach());
    }
    return results;
  };
  const auto composed = run();
  attention.eval();
  const auto fused = run();
  ASSERT_EQ(composed.size(), 6u);
  for (size_t i = 0; i < composed.size(); ++i) expect_near(composed[i], fused[i], 1e-11);
}

TEST(CausalSelfAttention, DropsWeightsAndResultsInTrainingOnly) {
  Generator generator(1);
  CausalSelfAttention attention(8, 2, 0.5, generator, kF64);
  randomise(attention, 2);
  const Tensor x = randn({1, 4, 8}, generator, kF64);
  const auto first = attention.forward(x).to_vector<double>();
  EXPECT_NE(first, attention.forward(x).to_vector<double>());
  const auto dropped = std::count(first.begin(), first.end(), 0.0);
  EXPECT_TRUE(dropped > 5 && dropped < 27) << dropped;
  for (double v : first) EXPECT_TRUE(std::isfinite(v));

  attention.eval();
  EXPECT_EQ(attention.forward(x).to_vector<double>(), attention.forward(x).to_vector<double>());
}

TEST(CausalSelfAttention, RefusesShapesItCannotSplit) {
  Generator generator(1);
  EXPECT_THAT([&] { CausalSelfAttention(10, 4, 0, generator); },
              ThrowsMessage<InvalidArgument>(
                  "attention: dim must be a multiple of heads, got dim 10 and 4 heads"));
  EXPECT_THAT([&] { CausalSelfAttention(8, 0, 0, generator); },
              ThrowsMessage<InvalidArgument>(HasSubstr("0 heads")));
  const CausalSelfAttention attention(8, 2, 0, generator);
  EXPECT_THAT(
      [&] {
        attention.forward(zeros({4, 8}));
      },
      ThrowsMessage<InvalidArgument>("attention: x must be [batch, time, dim], got [4, 8]"));
}

TEST(FeedForward, WidensFourTimesAndUsesTheTanhGelu) {
  Generator generator(1);
  FeedForward mlp(1, 0, generator, kF64);
  EXPECT_EQ(mlp.named_parameters()[0].second.shape(), Shape({1, 4}));
  for (const auto& [name, p] : mlp.named_parameters()) {
    name.ends_with("weight") ? init::ones(p) : init::zeros(p);
  }
  // 4 gelu(1.5), with x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
  const double inner = std::sqrt(2 / M_PI) * (1.5 + 0.044715 * 1.5 * 1.5 * 1.5);
  EXPECT_NEAR(mlp.forward(full({1, 1}, 1.5, kF64)).item(), 4 * 0.75 * (1 + std::tanh(inner)),
              1e-14);
}

}  // namespace
}  // namespace trireme
