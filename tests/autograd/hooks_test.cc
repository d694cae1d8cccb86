#include "core/autograd/hooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/autograd/gradient_slot.h"
#include "core/ops/ops.h"
#include "tests/support/message_of.h"
#include "tests/support/test_device.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::test_device;
using ::testing::ThrowsMessage;

Tensor leaf(std::vector<double> values) {
  const auto count = static_cast<int64_t>(values.size());
  return from_vector(values, {count}, test_device()).set_requires_grad();
}

TEST(Hooks, TensorHookSeesAndReplacesTheCompleteGradient) {
  const Tensor x = leaf({1});
  const Tensor y = x * 2.0;
  std::vector<double> seen;
  auto handle = register_hook(y, [&](const Tensor& dy) {
    seen.push_back(dy.item());
    return dy * 10.0;
  });
  backward(sum(y + y * 4.0));
  EXPECT_THAT(seen, ElementsAre(5)) << "once, with both contributions";
  EXPECT_EQ(x.grad().item(), 100);
}

TEST(Hooks, RunInDocumentedOrder) {
  std::vector<std::string> order;
  const Tensor x = leaf({1});
  const Tensor y = x * 2.0;
  retain_grad(y);
  const auto retained = [&] { return y.grad().defined() ? concat(y.grad().item()) : "nothing"; };
  auto a = register_post_hook(y, [&](std::span<Tensor> dx, const Tensor& dy) {
    order.push_back(concat("post of ", dy.item(), " gave ", dx[0].item()));
  });
  auto b = register_pre_hook(y, [&](const Tensor& dy) {
    order.push_back(concat("pre of ", dy.item(), ", retained ", retained()));
    return dy + 4.0;
  });
  auto c = register_hook(y, [&](const Tensor&) { return order.push_back("tensor 1"), Tensor(); });
  auto d = register_hook(y, [&](const Tensor& dy) {
    order.push_back(concat("tensor 2, retained ", retained()));
    return dy * 3.0;
  });
  auto e =
      register_accumulate_hook(x, [&] { order.push_back(concat("leaf has ", x.grad().item())); });
  auto f =
      register_hook(x, [&](const Tensor&) { return order.push_back("leaf tensor"), Tensor(); });
  backward(sum(y));
  EXPECT_THAT(order, ElementsAre("tensor 1", "tensor 2, retained nothing", "pre of 3, retained 3",
                                 "post of 7 gave 14", "leaf tensor", "leaf has 14"));
  EXPECT_EQ(y.grad().item(), 3) << "what a pre hook changes is not what is retained";
}

TEST(Hooks, APostHookReplacesWhatTheFormulaGave) {
  const Tensor x = leaf({2}), w = leaf({3}), b = leaf({4});
  const Tensor y = x * w * b;
  auto hook = register_post_hook(y, [&](std::span<Tensor> dx, const Tensor& dy) {
    ASSERT_EQ(dx.size(), 2u);
    dx[0] = dx[0] * 10.0 + dy;  // of x * w
    dx[1] = Tensor();           // of b
  });
  backward(sum(y));
  EXPECT_EQ(x.grad().item(), (4 * 10 + 1) * 3);
  EXPECT_EQ(w.grad().item(), (4 * 10 + 1) * 2);
  EXPECT_FALSE(b.grad().defined());
}

TEST(Hooks, APostHookReplacesWhatWasWrittenIntoALeafsSlot) {
  const Tensor x = from_vector<double>({1, 2}, {1, 2}, test_device());
  const Tensor w = from_vector<double>({5, 6, 7, 8}, {2, 2}, test_device()).set_requires_grad();
  GradientSlot slot(w);
  slot.set(full({2, 2}, 99, {DType::kF64, test_device()}));
  const auto gradient_with = [&](const std::function<Tensor(const Tensor& dw)>& change) {
    Tensor(w).zero_grad();
    const Tensor y = linear(x, w);
    auto hook =
        register_post_hook(y, [&](std::span<Tensor> dx, const Tensor&) { dx[1] = change(dx[1]); });
    backward(sum(y));
    return w.grad().defined() ? w.grad().to_vector<double>() : std::vector<double>{};
  };
  EXPECT_THAT(gradient_with([](const Tensor& dw) { return dw; }), ElementsAre(1, 1, 2, 2));
  EXPECT_THAT(gradient_with([](const Tensor& dw) { return dw * 3.0; }), ElementsAre(3, 3, 6, 6));
  EXPECT_THAT(gradient_with([](const Tensor& dw) { return transpose(dw, 0, 1); }),
              ElementsAre(1, 2, 1, 2));
  EXPECT_THAT(gradient_with([](const Tensor&) { return Tensor(); }), ElementsAre());
}

// Both operands are the same leaf: the hook replaces one gradient, the other lies in the slot.
TEST(Hooks, APostHookLeavesTheOtherGradientInASlotAlone) {
  const auto gradient = [](bool has_slot) {
    const Tensor w = from_vector<double>({1, 2, 3, 4}, {2, 2}, test_device()).set_requires_grad();
    GradientSlot slot(w);
    if (has_slot) slot.set(full({2, 2}, 99, {DType::kF64, test_device()}));
    const Tensor y = linear(w, w);
    const auto handle =
        register_post_hook(y, [](std::span<Tensor> dx, const Tensor&) { dx[0] = dx[0] * 10.0; });
    backward(sum(y));
    return w.grad().to_vector<double>();
  };
  EXPECT_EQ(gradient(true), gradient(false));
}

TEST(Hooks, NodeHooksOfSecondOrderGradientsAreRecorded) {
  const Tensor x = leaf({2});
  const Tensor y = x * x * x;
  auto pre = register_pre_hook(y, [](const Tensor& dy) { return dy * 5.0; });
  auto post = register_post_hook(
      y, [&](std::span<Tensor> dx, const Tensor&) { dx[0] = dx[0] * x.detach(); });
  // dy = 5; of x * x: 5 x held fixed times x; of the last factor 5 x^2.
  const Tensor first = grad({sum(y)}, {x}, {.create_graph = true})[0];
  EXPECT_EQ(first.item(), 5 * 2 * 2 * 2 * 2 + 5 * 2 * 2);
  EXPECT_EQ(grad({first}, {x})[0].item(), 5 * 2 * 2 * 4 + 5 * 2 * 2);
}

TEST(Hooks, NodeHooksMustGiveWhatFits) {
  const Tensor x = leaf({2});
  const Tensor y = exp(x);
  {
    auto hook = register_pre_hook(y, [](const Tensor&) { return zeros({3}, {DType::kF64}); });
    EXPECT_THAT(
        [&] { backward(y, {.retain_graph = true}); },
        ThrowsMessage<InvalidArgument>(HasSubstr("a pre hook of exp gave a gradient f64[3]")));
  }
  auto hook = register_post_hook(
      y, [](std::span<Tensor> dx, const Tensor&) { dx[0] = zeros({1}, {DType::kF32}); });
  EXPECT_THAT([&] { backward(y); }, ThrowsMessage<InvalidArgument>(
                                        HasSubstr("a post hook of exp gave a gradient f32[1]")));
}

TEST(Hooks, NodeHooksNeedAResult) {
  const auto pre = [](const Tensor& x) {
    return testing::message_of(
        [&] { const auto hook = register_pre_hook(x, [](const Tensor&) { return Tensor(); }); });
  };
  const auto post = [](const Tensor& x) {
    return testing::message_of(
        [&] { const auto hook = register_post_hook(x, [](std::span<Tensor>, const Tensor&) {}); });
  };
  EXPECT_EQ(pre(leaf({1})), "register_pre_hook: needs the result of an op, got a leaf");
  EXPECT_EQ(post(leaf({1})), "register_post_hook: needs the result of an op, got a leaf");
  EXPECT_THAT(pre(Tensor()),
              HasSubstr("register_pre_hook: needs a tensor that requires a gradient"));
  EXPECT_THAT(post(Tensor()), HasSubstr("got an undefined one"));
  EXPECT_THAT(post(ones({1})), HasSubstr("got f32[1], which does not"));
}

TEST(Hooks, AccumulateHookFiresOncePerBackward) {
  const Tensor x = leaf({3});
  int fired = 0;
  auto handle = register_accumulate_hook(x, [&] { ++fired; });
  backward(sum(x * x + x * 2.0 + x));
  EXPECT_EQ(fired, 1);
  backward(sum(x * x));
  EXPECT_EQ(fired, 2);
  handle.remove();
  backward(sum(x * x));
  EXPECT_EQ(fired, 2);
}

TEST(Hooks, HandleMayOutliveItsTensorAndRemoveItselfWhileRunning) {
  HookHandle handle;
  {
    const Tensor x = leaf({1});
    int fired = 0;
    handle = register_accumulate_hook(x, [&] {
      ++fired;
      handle.remove();
    });
    backward(sum(x * 1.0));
    backward(sum(x * 1.0));
    EXPECT_EQ(fired, 1);
    handle = register_hook(x, [](const Tensor&) { return Tensor(); });
  }
  handle.remove();
}

TEST(Hooks, RetainGradKeepsAResultsGradient) {
  const Tensor x = leaf({2});
  const Tensor y = x * 3.0;
  retain_grad(y);
  backward(sum(y * y));
  EXPECT_EQ(y.grad().item(), 12);
}

TEST(Hooks, AnErrorInAHookEndsBackwardAndLeavesTheGraphUsable) {
  const Tensor x = leaf({2});
  const Tensor y = sum(x * x);
  auto handle = register_hook(x, [](const Tensor&) -> Tensor { throw Error("from the hook"); });
  EXPECT_THROW(backward(y, {.retain_graph = true}), Error);
  handle.remove();
  EXPECT_FALSE(in_backward());
  backward(y, {.retain_graph = true});
  EXPECT_EQ(x.grad().item(), 4);
}

TEST(Hooks, EndCallbacksRunAfterEverything) {
  const Tensor x = leaf({2});
  std::vector<std::string> order;
  auto start = register_backward_start([&](const BackwardStart& pass) {
    order.push_back(pass.is_reached(x) ? "start reaches x" : "start");
    queue_backward_callback([&] { order.push_back("end"); });
  });
  auto hook = register_accumulate_hook(x, [&] { order.push_back("leaf"); });
  backward(sum(x * x));
  EXPECT_THAT(order, ElementsAre("start reaches x", "leaf", "end"));
  EXPECT_THROW(queue_backward_callback([] {}), InvalidArgument);
}

TEST(GradientSlot, ReceivesTheGradientInPlace) {
  const Tensor x = leaf({1, 2});
  const Tensor slot = full({2}, 99, {DType::kF64, test_device()});
  GradientSlot holder(x);
  holder.set(slot);
  EXPECT_FALSE(x.grad().defined()) << "what the slot held before is of an earlier epoch";
  backward(sum(x * x));
  EXPECT_THAT(slot.to_vector<double>(), ElementsAre(2, 4));
  EXPECT_EQ(x.grad().data<double>(), slot.data<double>());
  backward(sum(x * x));
  EXPECT_THAT(slot.to_vector<double>(), ElementsAre(4, 8)) << "added to in the same epoch";
  Tensor(x).zero_grad();
  EXPECT_THAT(slot.to_vector<double>(), ElementsAre(4, 8)) << "zero_grad touches no memory";
  backward(sum(x * 1.0));
  EXPECT_THAT(slot.to_vector<double>(), ElementsAre(1, 1)) << "overwritten in the next epoch";
}

TEST(GradientSlot, MovesAnExistingGradientInAndOut) {
  const Tensor x = leaf({1, 2});
  backward(sum(x * x));
  const Tensor slot = zeros({2}, {DType::kF64, test_device()});
  {
    GradientSlot holder(x);
    holder.set(slot);
    EXPECT_THAT(slot.to_vector<double>(), ElementsAre(2, 4));
    EXPECT_THROW(holder.set(zeros({3}, {DType::kF64, test_device()})), InvalidArgument);
  }
  EXPECT_NE(x.grad().data<double>(), slot.data<double>());
  EXPECT_THAT(x.grad().to_vector<double>(), ElementsAre(2, 4));
}

TEST(GradientSlot, IsOnePerLeaf) {
  const Tensor x = leaf({1, 2});
  EXPECT_FALSE(has_gradient_slot(x));
  {
    GradientSlot holder(x);
    EXPECT_TRUE(has_gradient_slot(x));
    EXPECT_THROW(GradientSlot{x}, InvalidArgument);
  }
  EXPECT_FALSE(has_gradient_slot(x));
  EXPECT_FALSE(has_gradient_slot(zeros({2}))) << "nothing that needs no gradient has one";
}

TEST(GradientSlot, OutlivesAFrozenLeaf) {
  Tensor x = leaf({1, 2});
  GradientSlot holder(x);
  holder.set(zeros({2}, {DType::kF64, test_device()}));
  EXPECT_TRUE(holder.belongs_to(x));
  x.set_requires_grad(false);
  EXPECT_FALSE(holder.belongs_to(x));
  x.set_requires_grad(true);
  EXPECT_FALSE(holder.belongs_to(x));
  EXPECT_FALSE(has_gradient_slot(x));
  holder.forget();
}

}  // namespace
}  // namespace trireme
