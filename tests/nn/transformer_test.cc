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
  CausalSelfAttention attention({.dim = 8, .heads = 2}, generator, kF64);
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
  CausalSelfAttention attention({.dim = 12, .heads = 3, .dropout = 1e-14}, generator, kF64);
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
  CausalSelfAttention attention({.dim = 8, .heads = 2, .dropout = 0.5}, generator, kF64);
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
  const auto make = [&](const SelfAttentionConfig& config) {
    return [&generator, config] { CausalSelfAttention(config, generator); };
  };
  EXPECT_THAT(make({.dim = 10, .heads = 4}),
              ThrowsMessage<InvalidArgument>(
                  "attention: dim must be a multiple of heads, got dim 10 and 4 heads"));
  EXPECT_THAT(make({.dim = 8, .heads = 0}), ThrowsMessage<InvalidArgument>(HasSubstr("0 heads")));
  EXPECT_THAT(make({.dim = 8, .heads = 4, .kv_heads = 3}),
              ThrowsMessage<InvalidArgument>("attention: kv_heads must divide heads, got 3 and 4"));
  EXPECT_THAT(make({.dim = 8, .heads = 4, .kv_heads = -2}),
              ThrowsMessage<InvalidArgument>(HasSubstr("got -2 and 4")));
  EXPECT_THAT(make({.dim = 6, .heads = 2, .rope_theta = 10000}),
              ThrowsMessage<InvalidArgument>("attention: rotary positions need an even width of a "
                                             "head, got 3: dim 6 over 2 heads"));
  const CausalSelfAttention attention({.dim = 8, .heads = 2}, generator);
  EXPECT_THAT(
      [&] {
        attention.forward(zeros({4, 8}));
      },
      ThrowsMessage<InvalidArgument>("attention: x must be [batch, time, dim], got [4, 8]"));
}

TEST(CausalSelfAttention, WithRotaryPositionsSeesDistancesAlone) {
  Generator generator(1);
  CausalSelfAttention attention({.dim = 16, .heads = 4, .kv_heads = 2, .rope_theta = 100},
                                generator, kF64);
  randomise(attention, 2);
  EXPECT_EQ(attention.named_parameters()[0].second.shape(), (Shape{16, 32}));
  // With the same token everywhere values are alike, so that the result does not show positions;
  // with two that alternate it must depend on the distance to the other kind.
  const Tensor tokens = randn({1, 2, 16}, generator, kF64);
  const Tensor x = reshape(repeat(tokens, {1, 4, 1}), {1, 8, 16});
  const Tensor y = attention.forward(x);
  EXPECT_NE(slice(y, 1, 2, 3).to_vector<double>(), slice(y, 1, 4, 5).to_vector<double>());
  // Moving all positions turns queries and keys alike: products stay.
  const Tensor q = randn({1, 3, 1, 8}, generator, kF64), k = randn({1, 3, 1, 8}, generator, kF64);
  const auto products = [&](int64_t first) {
    const RotaryOptions at{.theta = 50, .first = first};
    return matmul(reshape(rotary_embedding(q, at), {3, 8}),
                  transpose(reshape(rotary_embedding(k, at), {3, 8}), 0, 1));
  };
  expect_near(products(0), products(1000), 1e-11);
}

TEST(FeedForward, WithoutBiasesIsTheSameFunction) {
  Generator generator(1);
  const FeedForwardConfig config{.dim = 3, .hidden = 5};
  FeedForward with(config, generator, kF64);
  FeedForwardConfig bare = config;
  bare.bias = Bias::kNo;
  FeedForward without(bare, generator, kF64);
  const auto weights = without.named_parameters(), all = with.named_parameters();
  ASSERT_EQ(weights.size(), 2u);
  copy_inplace(weights[0].second.detach(), all[0].second.detach());
  copy_inplace(weights[1].second.detach(), all[2].second.detach());
  const Tensor x = randn({4, 3}, generator, kF64);
  expect_near(without.forward(x), with.forward(x), 1e-14);
}

TEST(FeedForward, GatesWithSwiGlu) {
  Generator generator(1);
  FeedForward mlp({.dim = 1, .hidden = 2, .bias = Bias::kNo, .kind = FeedForwardKind::kSwiGlu},
                  generator, kF64);
  const auto parameters = mlp.named_parameters();
  ASSERT_EQ(parameters.size(), 3u);
  EXPECT_EQ(parameters[0].first, "c_gate.weight");
  copy_inplace(parameters[0].second.detach(), from_vector<double>({2, -1}, {1, 2}));
  copy_inplace(parameters[1].second.detach(), from_vector<double>({3, 5}, {1, 2}));
  copy_inplace(parameters[2].second.detach(), from_vector<double>({1, 10}, {2, 1}));
  const auto silu_of = [](double x) { return x / (1 + std::exp(-x)); };
  EXPECT_NEAR(mlp.forward(full({1, 1}, 0.7, kF64)).item(),
              silu_of(1.4) * 2.1 + 10 * silu_of(-0.7) * 3.5, 1e-14);
}

TEST(FeedForward, HasAsManyParametersWithEitherActivation) {
  EXPECT_EQ((FeedForwardConfig{.dim = 768}.hidden_width()), 3072);
  EXPECT_EQ((FeedForwardConfig{.dim = 768, .kind = FeedForwardKind::kSwiGlu}.hidden_width()), 2048);
  EXPECT_EQ((FeedForwardConfig{.dim = 128, .kind = FeedForwardKind::kSwiGlu}.hidden_width()), 384);
  EXPECT_EQ((FeedForwardConfig{.dim = 128, .hidden = 7}.hidden_width()), 7);
}

TEST(BlockNorm, IsTheNormItNames) {
  Generator generator(1);
  const Tensor x = randn({3, 8}, generator, kF64), r = randn({3, 8}, generator, kF64);
  for (const Bias bias : {Bias::kYes, Bias::kNo}) {
    BlockNorm norm(NormKind::kLayerNorm, 8, 1e-3, bias, kF64);
    EXPECT_EQ(norm.module().named_parameters().size(), bias == Bias::kYes ? 2u : 1u);
    const NormalisedSum both = norm.forward(x, r);
    expect_near(both.sum, x + r, 0);
    expect_near(both.y, layer_norm(x + r, {}, {}, 1e-3), 1e-14);
    expect_near(norm.forward(x), layer_norm(x, {}, {}, 1e-3), 1e-14);
  }
  BlockNorm norm(NormKind::kRmsNorm, 8, 1e-3, Bias::kYes, kF64);
  EXPECT_EQ(norm.module().named_parameters().size(), 1u);
  expect_near(norm.forward(x, r).sum, x + r, 0);
  expect_near(norm.forward(x, r).y, rms_norm(x + r, {}, 1e-3), 1e-14);
}

TEST(FeedForward, WidensFourTimesAndUsesTheTanhGelu) {
  Generator generator(1);
  FeedForward mlp({.dim = 1}, generator, kF64);
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
