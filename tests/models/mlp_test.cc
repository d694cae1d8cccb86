#include "core/models/mlp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/nn/init.h"
#include "core/optim/sgd.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(Mlp, NamesItsLayersAndFlattensItsInput) {
  Generator generator(1);
  const Mlp mlp({.sizes = {6, 5, 3}}, generator);
  std::vector<std::string> names;
  for (const auto& [name, p] : mlp.named_parameters()) names.push_back(name);
  EXPECT_THAT(names,
              ElementsAre("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"));
  const Tensor x = randn({4, 2, 3}, generator);
  EXPECT_EQ(mlp.forward(x).to_vector<float>(), mlp.forward(reshape(x, {4, 6})).to_vector<float>());
}

TEST(Mlp, ActivatesBetweenLayersOnly) {
  Generator generator(1);
  const Tensor x = full({1, 1}, -1.0, {DType::kF64});
  for (const auto activation : {Activation::kRelu, Activation::kGelu}) {
    const Mlp mlp({.sizes = {1, 1, 1}, .activation = activation}, generator, {DType::kF64});
    for (const auto& [name, p] : mlp.named_parameters()) {
      name.ends_with("weight") ? init::ones(p) : init::zeros(p);
    }
    // relu(-1) = 0, gelu(-1) = -Phi(-1); the last layer passes negative values on.
    EXPECT_NEAR(mlp.forward(x).item(), activation == Activation::kRelu ? 0 : -0.15865525393145705,
                1e-14);
  }
}

TEST(Mlp, LearnsExclusiveOr) {
  Generator generator(3);
  Mlp mlp({.sizes = {2, 16, 2}}, generator);
  const Tensor x = from_vector<float>({0, 0, 0, 1, 1, 0, 1, 1}, {4, 2});
  const Tensor y = from_vector<int64_t>({0, 1, 1, 0}, {4});
  Sgd optimizer(decay_matrices_only(mlp.named_parameters(), 0), {.lr = 0.1, .momentum = 0.9});
  for (int step = 0; step < 200; ++step) {
    backward(cross_entropy(mlp.forward(x), y));
    optimizer.step();
    optimizer.zero_grad();
  }
  EXPECT_THAT(argmax(mlp.forward(x), -1).to_vector<int64_t>(), ElementsAre(0, 1, 1, 0));
}

TEST(Mlp, DropsHiddenActivationsInTraining) {
  Generator generator(1);
  Mlp mlp({.sizes = {4, 64, 2}, .dropout = 0.5}, generator);
  const Tensor x = ones({1, 4});
  EXPECT_NE(mlp.forward(x).to_vector<float>(), mlp.forward(x).to_vector<float>());
  mlp.eval();
  EXPECT_EQ(mlp.forward(x).to_vector<float>(), mlp.forward(x).to_vector<float>());
}

TEST(Mlp, NeedsAnInputAndAnOutput) {
  Generator generator(1);
  EXPECT_THAT([&] { Mlp({.sizes = {4}}, generator); },
              ThrowsMessage<InvalidArgument>(HasSubstr("got 1 sizes")));
  const Mlp mlp({.sizes = {4, 2}}, generator);
  EXPECT_THAT([&] { mlp.forward(ones({3, 5})); }, ThrowsMessage<InvalidArgument>(HasSubstr("5")));
}

}  // namespace
}  // namespace trireme
