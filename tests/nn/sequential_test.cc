#include "core/nn/sequential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/nn/convolution.h"
#include "core/nn/layers.h"
#include "core/nn/module_list.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;

std::vector<std::string> names_of(const Module& module) {
  std::vector<std::string> names;
  for (const auto& [name, parameter] : module.named_parameters()) names.push_back(name);
  return names;
}

TEST(Sequential, RunsItsStepsAndNumbersThemAsTorchDoes) {
  Generator generator(1);
  Sequential net;
  const Linear& first = net.add<Linear>(3, 4, generator);
  net.then(relu);
  const Linear& last = net.add<Linear>(4, 2, generator, Bias::kNo);
  EXPECT_THAT(names_of(net), ElementsAre("0.weight", "0.bias", "2.weight"));
  const Tensor x = randn({5, 3}, generator);
  EXPECT_EQ(net.forward(x).to_vector<float>(),
            last.forward(relu(first.forward(x))).to_vector<float>());
  backward(sum(net.forward(x)));
  EXPECT_TRUE(first.weight().grad().defined());
}

TEST(Sequential, PassesTheModeOn) {
  Generator generator(1);
  Sequential net;
  const Dropout& dropout = net.add<Dropout>(0.5, generator);
  net.eval();
  EXPECT_FALSE(dropout.is_training());
}

TEST(Sequential, RefusesAnEmptyFunction) {
  Sequential net;
  EXPECT_THAT(message_of([&] { net.then({}); }),
              HasSubstr("sequential: a step must be a function, got an empty one"));
}

TEST(ModuleList, OwnsAndNumbersItsEntries) {
  Generator generator(1);
  ModuleList<Linear> layers;
  const Linear& first = layers.add(2, 3, generator);
  for (int i = 0; i < 20; ++i) layers.add(3, 3, generator, Bias::kNo);
  EXPECT_EQ(layers.size(), 21u);
  EXPECT_EQ(&layers[0], &first);
  EXPECT_EQ(names_of(layers)[1], "0.bias");
  EXPECT_EQ(names_of(layers).back(), "20.weight");
}

TEST(GroupNorm, NormalisesEachImageAlone) {
  const GroupNorm layer(1, 2, 0.0, {DType::kF64});
  const Tensor x = from_vector<double>({1, 1, 3, 3, -5, 5, 5, -5}, {2, 2, 1, 2});
  EXPECT_THAT(layer.forward(x).to_vector<double>(), ElementsAre(-1, -1, 1, 1, -1, 1, 1, -1));
  EXPECT_THAT(message_of([] { GroupNorm(3, 4); }),
              HasSubstr("group_norm: 3 groups must divide the 4 channels"));
}

}  // namespace
}  // namespace trireme
