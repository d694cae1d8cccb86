#include "core/nn/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/checkpoint/load_state.h"
#include "core/nn/layers.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<std::string> names_of(const StateDict& dict) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : dict) names.push_back(name);
  return names;
}

// A module may register anything: this one leaves it to the test.
class Open : public Module {
 public:
  using Module::register_buffer;
  using Module::register_generator;
  using Module::register_module;
  using Module::register_parameter;
};

Tensor parameter(const Shape& shape) { return ones(shape).set_requires_grad(); }

struct Tree {
  Tree() {
    right.register_parameter("w", shared);
    right.register_parameter("v", parameter({3}));
    left.register_parameter("w", shared);
    left.register_buffer("count", zeros({1}));
    root.register_module("left", left);
    root.register_module("right", right);
    root.register_parameter("scale", parameter({}));  // own parameters come first all the same
  }
  Tensor shared = parameter({2, 2});
  Open left, right, root;
};

TEST(Module, NamesParametersInOrderAndSharedOnesOnce) {
  Tree tree;
  EXPECT_THAT(names_of(tree.root.named_parameters()), ElementsAre("scale", "left.w", "right.v"));
  EXPECT_EQ(tree.root.num_parameters(), 1 + 4 + 3);
  EXPECT_TRUE(tree.root.named_parameters()[1].second.is_same(tree.shared));
}

TEST(Module, StateIsParametersThenBuffers) {
  Tree tree;
  EXPECT_THAT(names_of(tree.root.named_buffers()), ElementsAre("left.count"));
  EXPECT_THAT(names_of(tree.root.state_dict()),
              ElementsAre("scale", "left.w", "right.v", "left.count"));
}

TEST(Module, ModeReachesAllModulesBelow) {
  Tree tree;
  EXPECT_TRUE(tree.left.is_training());
  tree.root.eval();
  EXPECT_FALSE(tree.root.is_training() || tree.left.is_training() || tree.right.is_training());
  tree.root.train();
  EXPECT_TRUE(tree.root.is_training() && tree.left.is_training() && tree.right.is_training());
}

TEST(Module, ApplyVisitsParentsFirstWithNames) {
  Tree tree;
  std::vector<std::string> names;
  std::vector<Module*> modules;
  tree.root.apply([&](const std::string& name, Module& module) {
    names.push_back(name);
    modules.push_back(&module);
  });
  EXPECT_THAT(names, ElementsAre("", "left", "right"));
  EXPECT_THAT(modules, ElementsAre(&tree.root, &tree.left, &tree.right));
}

TEST(Module, ZeroGradForgetsGradientsOfAllParameters) {
  Tree tree;
  backward(sum(square(tree.shared)));
  EXPECT_TRUE(tree.shared.grad().defined());
  tree.root.zero_grad();
  EXPECT_FALSE(tree.shared.grad().defined());
}

TEST(Module, ToADtypeRoundsParametersForAllWhoHoldThem) {
  Tree tree;
  copy_inplace(tree.shared.detach(), full({2, 2}, 1.001));
  tree.root.to(DType::kBF16);
  EXPECT_EQ(tree.shared.dtype(), DType::kBF16);
  EXPECT_EQ(tree.shared.to_vector<float>(), std::vector<float>(4, 1.0f));
  EXPECT_TRUE(tree.shared.requires_grad());
  EXPECT_EQ(tree.root.named_buffers()[0].second.dtype(), DType::kF32);
  backward(sum(mul(tree.shared, tree.shared)));
  EXPECT_EQ(tree.shared.grad().dtype(), DType::kBF16);
  tree.root.to(DType::kF64);
  EXPECT_EQ(tree.root.named_buffers()[0].second.dtype(), DType::kF64);
  EXPECT_FALSE(tree.shared.grad());
  EXPECT_THAT([&] { tree.root.to(DType::kI64); },
              ThrowsMessage<InvalidArgument>(HasSubstr("floating dtype only, got i64")));
}

TEST(Module, ListsGeneratorsByName) {
  Generator generator(3);
  Dropout drop(0.5, generator);
  Open root;
  root.register_module("drop", drop);
  const auto generators = root.named_generators();
  ASSERT_EQ(generators.size(), 1u);
  EXPECT_EQ(generators[0].first, "drop.generator");
  const uint64_t before = generators[0].second->offset();
  drop.forward(ones({8}));
  EXPECT_GT(generators[0].second->offset(), before);
}

TEST(Module, RefusesNamesThatWouldNotBeUnique) {
  Open module, child;
  module.register_parameter("w", parameter({1}));
  EXPECT_THAT([&] { module.register_buffer("w", zeros({1})); },
              ThrowsMessage<InvalidArgument>("module: 'w' is registered already"));
  EXPECT_THAT([&] { module.register_module("a.b", child); },
              ThrowsMessage<InvalidArgument>(HasSubstr("contain dots, got 'a.b'")));
  EXPECT_THAT([&] { module.register_parameter("", parameter({1})); },
              ThrowsMessage<InvalidArgument>(HasSubstr("must not be empty")));
}

TEST(Module, RefusesTensorsThatCannotBeState) {
  Open module;
  EXPECT_THAT([&] { module.register_parameter("p", Tensor()); },
              ThrowsMessage<InvalidArgument>("module: parameter 'p' is undefined"));
  EXPECT_THAT([&] { module.register_parameter("p", square(parameter({2}))); },
              ThrowsMessage<InvalidArgument>("module: parameter 'p' must be a leaf, got the result "
                                             "of an op, f32[2]; use detach()"));
  EXPECT_THAT([&] { module.register_buffer("b", Tensor()); },
              ThrowsMessage<InvalidArgument>("module: buffer 'b' must be defined"));
}

TEST(Module, StateLoadsIntoAnotherOfItsKind) {
  Generator first(1), second(2);
  const Linear from(3, 2, first), to(3, 2, second);
  ASSERT_NE(from.weight().to_vector<float>(), to.weight().to_vector<float>());
  load_state(to.state_dict(), from.state_dict());
  EXPECT_EQ(from.weight().to_vector<float>(), to.weight().to_vector<float>());
  EXPECT_TRUE(to.weight().requires_grad());

  const Linear other(2, 2, first, Bias::kNo);
  EXPECT_THAT([&] { load_state(to.state_dict(), other.state_dict()); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("missing (bias)"),
                                             HasSubstr("weight is [3, 2] but [2, 2] there"))));
}

}  // namespace
}  // namespace trireme
