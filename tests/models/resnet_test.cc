#include "core/models/resnet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/optim/sgd.h"

namespace trireme {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<std::string> names_of(const StateDict& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, t] : tensors) names.push_back(name);
  return names;
}

TEST(ResNet, HasTorchvisionsNamesAndSizes) {
  Generator generator(1);
  // torchvision's resnet18 and resnet50 with 1000 classes.
  for (const auto& [depth, parameters] : {std::pair{18, 11689512}, std::pair{50, 25557032}}) {
    ResNetConfig config = resnet_config(depth);
    config.classes = 1000;
    config.stem = Stem::kImageNet;
    const ResNet model(config, generator);
    EXPECT_EQ(model.num_parameters(), parameters) << "depth " << depth;
    const std::vector<std::string> names = names_of(model.state_dict());
    for (const char* name : {"conv1.weight", "bn1.running_var", "layer1.0.conv1.weight",
                             "layer2.0.downsample.0.weight", "layer2.0.downsample.1.running_mean",
                             "layer4.1.bn2.bias", "fc.bias"}) {
      EXPECT_THAT(names, Contains(name)) << "depth " << depth;
    }
  }
  EXPECT_THAT([] { resnet_config(20); }, ThrowsMessage<InvalidArgument>(HasSubstr("got 20")));
}

ResNetConfig tiny() { return {.blocks = {1, 1, 1, 1}, .in_channels = 2, .classes = 3, .width = 4}; }

TEST(ResNet, GivesLogitsForAnySizeAndEachStem) {
  Generator generator(1);
  ResNetConfig config = tiny();
  for (const bool bottleneck : {false, true}) {
    for (const Stem stem : {Stem::kSmall, Stem::kImageNet}) {
      config.bottleneck = bottleneck;
      config.stem = stem;
      const ResNet model(config, generator);
      EXPECT_EQ(model.forward(randn({2, 33, 40, 2}, generator)).shape(), (Shape{2, 3}));
    }
  }
  const ResNet model(config, generator);
  EXPECT_THAT(
      [&] {
        model.forward(randn({2, 8, 8, 3}, generator));
      },
      ThrowsMessage<InvalidArgument>(
          "resnet: images must be [batch, height, width, 2], got [2, 8, 8, 3]"));
}

// Learns two images by heart, in training mode and then, by the running statistics, in evaluation.
TEST(ResNet, Learns) {
  Generator generator(1);
  ResNet model(tiny(), generator);
  const Tensor images = randn({2, 8, 8, 2}, generator);
  const Tensor targets = from_vector<int64_t>({0, 2}, {2});
  Sgd optimizer({{model.named_parameters(), {}}}, {.lr = 0.05, .momentum = 0.9});
  for (int step = 0; step < 60; ++step) {
    backward(cross_entropy(model.forward(images), targets));
    optimizer.step();
    optimizer.zero_grad();
  }
  NoGrad no_grad;
  EXPECT_LT(cross_entropy(model.forward(images), targets).item(), 0.05);
  model.eval();
  EXPECT_LT(cross_entropy(model.forward(images), targets).item(), 0.05);
}

TEST(BatchNorm, AveragesStatisticsWhileTrainingOnly) {
  BatchNorm norm(1, 0.25);
  const Tensor x = from_vector<float>({1, 3, 5, 7}, {4, 1});  // mean 4, unbiased variance 20/3
  norm.forward(x);
  const StateDict buffers = norm.named_buffers();
  EXPECT_FLOAT_EQ(buffers[0].second.to_vector<float>()[0], 0.25 * 4);
  EXPECT_FLOAT_EQ(buffers[1].second.to_vector<float>()[0], 0.75 + 0.25 * 20 / 3);
  norm.eval();
  const float y = norm.forward(x).to_vector<float>()[3];
  EXPECT_NEAR(y, (7 - 1) / std::sqrt(0.75 + 0.25 * 20 / 3), 1e-4);
  EXPECT_FLOAT_EQ(buffers[0].second.to_vector<float>()[0], 1) << "evaluation must not move them";
  norm.train();
  EXPECT_THAT(
      [&] {
        norm.forward(ones({1, 1}));
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("more than one value per channel")));
}

}  // namespace
}  // namespace trireme
