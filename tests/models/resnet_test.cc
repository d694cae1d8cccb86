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

// What the fused op leaves to the ops that it joins: values, gradients and running statistics.
TEST(BatchNorm, WithReluEqualsTheOpsOnTheirOwn) {
  Generator generator(1);
  for (const bool has_residual : {false, true}) {
    for (const bool training : {true, false}) {
      BatchNorm fused(5), plain(5);
      for (BatchNorm* norm : {&fused, &plain}) norm->train(training);
      std::vector<Tensor> x, residual, y;
      const Tensor values = randn({3, 2, 4, 5}, generator), added = randn({3, 2, 4, 5}, generator);
      for (int i = 0; i < 2; ++i) {
        x.push_back(clone_detached(values).set_requires_grad());
        residual.push_back(clone_detached(added).set_requires_grad());
      }
      y.push_back(fused.forward_relu(x[0], has_residual ? residual[0] : Tensor()));
      y.push_back(has_residual ? relu(plain.forward(x[1]) + residual[1])
                               : relu(plain.forward(x[1])));
      for (int i = 0; i < 2; ++i) backward(y[i], {.gradient = values});
      const auto expect_equal = [](const Tensor& got, const Tensor& want, const std::string& what) {
        const auto a = got.to_vector<float>(), b = want.to_vector<float>();
        ASSERT_EQ(a.size(), b.size());
        for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6) << what << " " << i;
      };
      expect_equal(y[0].detach(), y[1].detach(), "y");
      expect_equal(x[0].grad(), x[1].grad(), "dx");
      if (has_residual) expect_equal(residual[0].grad(), residual[1].grad(), "dresidual");
      const StateDict got = fused.state_dict(), want = plain.state_dict();
      for (size_t i = 0; i < got.size(); ++i) {
        expect_equal(got[i].second.detach(), want[i].second.detach(), got[i].first);
        if (got[i].second.requires_grad()) {
          expect_equal(got[i].second.grad(), want[i].second.grad(), got[i].first + ".grad");
        }
      }
    }
  }
}

// Evaluation joins each convolution with its normalisation where nothing is recorded.
TEST(ResNet, EvaluatesTheSameWithAndWithoutHistory) {
  Generator generator(1);
  for (const bool bottleneck : {false, true}) {
    ResNetConfig config = tiny();
    config.bottleneck = bottleneck;
    ResNet model(config, generator);
    const Tensor images = randn({2, 8, 8, 2}, generator);
    for (const auto& [name, t] : model.named_parameters()) {
      const NoGrad no_grad;
      if (t.rank() == 1) copy_inplace(t, rand(t.shape(), generator));  // no factor is 0 or 1
    }
    model.forward(images);  // moves the running statistics
    model.eval();
    const auto with_history = model.forward(images).detach().to_vector<float>();
    NoGrad no_grad;
    const auto without = model.forward(images).to_vector<float>();
    for (size_t i = 0; i < without.size(); ++i) {
      EXPECT_NEAR(without[i], with_history[i], 1e-4 * (1 + std::abs(with_history[i]))) << i;
    }
  }
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
