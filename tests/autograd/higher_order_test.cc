// grad() and create_graph: gradients that are asked for, and gradients of gradients.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/attach.h"
#include "core/autograd/backward.h"
#include "core/autograd/gradcheck.h"
#include "core/autograd/gradient_slot.h"
#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "tests/support/leaves.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::leaf;
using testing::message_of;
using testing::test_device;
using testing::values;

TEST(Grad, GivesGradientsAndTouchesNoLeaf) {
  const Tensor x = leaf({2, 3}), w = leaf({5, 7});
  const auto d = grad({sum(x * w)}, {x, w});
  EXPECT_THAT(values(d[0]), ElementsAre(5, 7));
  EXPECT_THAT(values(d[1]), ElementsAre(2, 3));
  EXPECT_FALSE(x.grad().defined());
  EXPECT_FALSE(w.grad().defined());
  backward(sum(x * 2.0));
  grad({sum(x * w)}, {x});
  EXPECT_THAT(values(x.grad()), ElementsAre(2, 2));
}

TEST(Grad, TakesResultsAsInputsAndEveryInputOnce) {
  const Tensor x = leaf({2});
  const Tensor y = x * 3.0;
  const Tensor z = sum(y * y);
  const auto d = grad({z}, {y, x, y});
  EXPECT_THAT(values(d[0]), ElementsAre(12));
  EXPECT_THAT(values(d[1]), ElementsAre(36));
  EXPECT_THAT(values(d[2]), ElementsAre(12));
}

TEST(Grad, OfAnInputThatIsTheOutput) {
  const Tensor x = leaf({2});
  const Tensor y = sum(x * 3.0);
  EXPECT_EQ(grad({y}, {y})[0].item(), 1);
  EXPECT_THAT(values(grad({x}, {x}, {.output_gradients = {leaf({4})}})[0]), ElementsAre(4));
}

TEST(Grad, AddsOverSeveralOutputsOfWhichOneLeadsToAnother) {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * x;
  const Tensor z = sum(y * 10.0);
  const auto d = grad({y, z}, {x, y}, {.output_gradients = {leaf({1, 1}), Tensor()}});
  EXPECT_THAT(values(d[0]), ElementsAre(22, 44));
  EXPECT_THAT(values(d[1]), ElementsAre(11, 11));
}

TEST(Grad, NamesAnInputThatIsNotUsed) {
  const Tensor x = leaf({2}), other = leaf({1, 1});
  EXPECT_THAT(message_of([&] {
                grad({sum(x * x)}, {x, other});
              }),
              HasSubstr("grad: input 1, f64[2], is not used by the outputs; allow_unused"));
  const auto d = grad({sum(x * x)}, {x, other}, {.allow_unused = true});
  EXPECT_THAT(values(d[0]), ElementsAre(4));
  EXPECT_FALSE(d[1].defined());
  EXPECT_THAT(message_of([&] { grad({sum(x)}, {x.detach()}); }),
              HasSubstr("grad: input 0 does not require a gradient"));
  EXPECT_THAT(message_of([&] { grad({other * other}, {other}); }), HasSubstr("needs a scalar"));
}

TEST(Grad, RunsOnlyWhatLeadsToAnInput) {
  const Tensor x = leaf({2}), w = leaf({3});
  const Tensor aside = w * 5.0;
  const Tensor y = sum(x * x + aside);
  int ran = 0, accumulated = 0, seen = 0;
  auto a = register_post_hook(aside, [&](auto, const Tensor&) { ++ran; });
  auto b = register_accumulate_hook(x, [&] { ++accumulated; });
  auto c = register_hook(x, [&](const Tensor& dx) { return ++seen, dx * 10.0; });
  EXPECT_THAT(values(grad({y}, {x}, {.retain_graph = true})[0]), ElementsAre(40));
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(accumulated, 0);
  EXPECT_EQ(seen, 1) << "hooks of a tensor see its gradient";
  backward(y);
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(accumulated, 1);
}

TEST(Grad, ReleasesTheGraphUnlessItIsRetained) {
  const Tensor x = leaf({2});
  const Tensor y = sum(x * x);
  grad({y}, {x}, {.retain_graph = true});
  grad({y}, {x});
  EXPECT_THAT(message_of([&] { grad({y}, {x}); }), HasSubstr("pass retain_graph"));
}

TEST(Grad, IsZeroWhereAFormulaSaysSo) {
  const Tensor x = leaf({2});
  const Tensor y = attach("nothing", zeros({}, {DType::kF64, test_device()}),
                          wrt(x, [](const Tensor&) { return Tensor(); }));
  EXPECT_THAT(values(grad({y}, {x})[0]), ElementsAre(0));
}

TEST(Grad, RefusesAResultWhoseGradientIsJoinedWithThatOfAnother) {
  const Tensor x = reshape(leaf({1, 2, 4}), {1, 3}), ones = full({3}, 1, {DType::kF64, x.device()});
  const auto [sum_of_both, y] = residual_layer_norm(x, x, ones, ones);
  EXPECT_THAT(message_of([&] { grad({sum(square(y))}, {sum_of_both}); }),
              HasSubstr("a result of residual_layer_norm was asked for whose gradient is joined"));
}

TEST(Grad, RunsInsideABackward) {
  const Tensor x = leaf({2}), w = leaf({5});
  const Tensor y = x * w;
  std::vector<double> inner;
  auto handle = register_pre_hook(y, [&](const Tensor&) {
    const EnableGrad record;
    inner = values(grad({sum(w * w * x)}, {w})[0]);
    return Tensor();
  });
  backward(sum(y));
  EXPECT_THAT(inner, ElementsAre(20));
  EXPECT_THAT(values(x.grad()), ElementsAre(5));
  EXPECT_THAT(values(w.grad()), ElementsAre(2));
}

TEST(Grad, WalksAChainOfAMillionOps) {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < 1'000'000; ++i) y = y + 1.0;
  EXPECT_THAT(values(grad({y}, {x})[0]), ElementsAre(1));
}

TEST(CreateGraph, DifferentiatesAgainAndAgain) {
  const Tensor x = leaf({2, 3});
  const Tensor first = grad({sum(x * x * x * x)}, {x}, {.create_graph = true})[0];
  EXPECT_THAT(values(first), ElementsAre(4 * 8, 4 * 27));
  const Tensor second = grad({sum(first)}, {x}, {.create_graph = true})[0];
  EXPECT_THAT(values(second), ElementsAre(12 * 4, 12 * 9));
  const Tensor third = grad({sum(second)}, {x}, {.create_graph = true})[0];
  EXPECT_THAT(values(third), ElementsAre(24 * 2, 24 * 3));
  EXPECT_THAT(values(grad({sum(third)}, {x})[0]), ElementsAre(24, 24));
}

TEST(CreateGraph, WithoutItAGradientHasNoHistory) {
  const Tensor x = leaf({2});
  EXPECT_FALSE(grad({sum(x * x)}, {x})[0].requires_grad());
  EXPECT_TRUE(grad({sum(x * x)}, {x}, {.create_graph = true})[0].requires_grad());
}

TEST(CreateGraph, KeepsTheHistoryOfTheOutputGradient) {
  const Tensor x = leaf({2}), v = leaf({3});
  const Tensor d = grad({x * x}, {x}, {.output_gradients = {v}, .create_graph = true})[0];
  EXPECT_THAT(values(grad({sum(d)}, {v})[0]), ElementsAre(4));
}

TEST(CreateGraph, OutputsAreSavedWithTheirHistoryAndWithoutACycle) {
  std::weak_ptr<int> alive;
  {
    const Tensor x = leaf({0.5});
    Tensor y = exp(x);
    auto token = std::make_shared<int>(0);
    alive = token;
    register_hook(y, [token](const Tensor&) { return Tensor(); }).keep();  // dies with the node
    token.reset();
    const Tensor first = grad({sum(y)}, {x}, {.create_graph = true})[0];
    EXPECT_DOUBLE_EQ(grad({sum(first)}, {x}, {.create_graph = true})[0].item(), std::exp(0.5));
    EXPECT_FALSE(alive.expired());
  }
  EXPECT_TRUE(alive.expired()) << "the node must die with its tensors";
}

TEST(CreateGraph, SumsOfGradientsKeepTheirHistory) {
  const Tensor x = leaf({3});
  const Tensor y = x * x;  // used twice: its gradient is a sum
  const Tensor first = grad({sum(y * y + y * x)}, {x}, {.create_graph = true})[0];
  EXPECT_THAT(values(first), ElementsAre(4 * 27 + 3 * 9));
  EXPECT_THAT(values(grad({sum(first)}, {x})[0]), ElementsAre(12 * 9 + 6 * 3));
}

TEST(CreateGraph, BackwardLeavesGradientsWithHistoryInTheLeaves) {
  Tensor x = leaf({2});
  backward(sum(x * x), {.create_graph = true});
  backward(sum(x * x * x), {.create_graph = true});
  const Tensor g = x.grad();  // 2 x + 3 x^2
  EXPECT_THAT(values(g), ElementsAre(16));
  ASSERT_TRUE(g.requires_grad());
  EXPECT_THAT(values(grad({sum(g * g)}, {x})[0]), ElementsAre(2 * 16 * (2 + 12)));
  backward(sum(x * 5.0));  // a plain one adds without changing what has a history
  EXPECT_THAT(values(x.grad()), ElementsAre(21));
  EXPECT_FALSE(x.grad().requires_grad());
  EXPECT_THAT(values(g), ElementsAre(16));
  x.zero_grad();
}

TEST(CreateGraph, AGradientPenaltyTrains) {
  // d/dw of |d/dx (w x)^2|^2 = |2 w^2 x|^2 = 4 w^4 x^2: 16 w^3 x^2
  const Tensor w = leaf({3}), x = leaf({2});
  const Tensor dx = grad({sum(square(w * x))}, {x}, {.create_graph = true})[0];
  backward(sum(square(dx)));
  EXPECT_THAT(values(w.grad()), ElementsAre(16 * 27 * 4));
}

TEST(CreateGraph, RefusesByNameWhereAFormulaLeavesNoRecord) {
  const Tensor x = leaf({1, 2});
  const auto opaque = [](const Tensor& in) {
    return attach("opaque", square(in.detach()),
                  wrt(in, [in = save(in)](const Tensor& dy) { return dy * in() * 2.0; }));
  };
  const Tensor first = grad({sum(opaque(x))}, {x}, {.create_graph = true})[0];
  EXPECT_THAT(values(first), ElementsAre(2, 4)) << "the first gradient is there";
  EXPECT_EQ(first.grad_fn_name(), "opaque");
  EXPECT_THAT(message_of([&] { grad({sum(first)}, {x}); }),
              HasSubstr("opaque: its gradient cannot be differentiated again"));
  EXPECT_THAT(
      message_of([&] { gradgradcheck([&](const auto& in) { return opaque(in[0]); }, {x}); }),
      HasSubstr("opaque: its gradient"));
}

TEST(CreateGraph, IsRefusedByALeafWhoseGradientLivesInASlot) {
  const Tensor x = leaf({2});
  GradientSlot slot(x);
  slot.set(zeros({1}, {DType::kF64, test_device()}));
  EXPECT_THAT(message_of([&] { backward(sum(x * x), {.create_graph = true}); }),
              HasSubstr("lives in memory of a reducer, which keeps none; use grad()"));
  EXPECT_THAT(values(grad({sum(x * x)}, {x}, {.create_graph = true})[0]), ElementsAre(4));
}

TEST(CreateGraph, LeavesASlotAloneWhereGradientsAreAskedFor) {
  const Tensor x = leaf({1, 2}), w = reshape(leaf({1, 1, 1, 1}).detach(), {2, 2});
  Tensor weight = w;
  weight.set_requires_grad();
  GradientSlot slot(weight);
  const Tensor memory = full({2, 2}, 99, {DType::kF64, test_device()});
  slot.set(memory);
  const Tensor y = sum(linear(reshape(x, {1, 2}), weight));
  EXPECT_THAT(values(grad({y}, {weight})[0]), ElementsAre(1, 1, 2, 2));
  EXPECT_THAT(values(memory), ElementsAre(99, 99, 99, 99));
}

TEST(Gradgradcheck, FindsAFormulaThatForgetsToDependOnItsInput) {
  const Tensor x = leaf({1, 2});
  const auto forgetful = [](const std::vector<Tensor>& in) {
    return attach(
        differentiable("forgetful"), square(in[0]).detach(),
        wrt(in[0], [x = save(in[0])](const Tensor& dy) { return dy * (x().detach() * 2.0); }));
  };
  EXPECT_NO_THROW(gradcheck(forgetful, {x}));
  try {
    gradgradcheck(forgetful, {x});
    FAIL() << "a wrong second derivative passed";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("gradgradcheck: input 0 of shape [2], element 0"));
  }
  EXPECT_NO_THROW(gradgradcheck([](const auto& in) { return square(in[0]); }, {x}));
}

}  // namespace
}  // namespace trireme
