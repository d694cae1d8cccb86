#include "core/autograd/backward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/attach.h"
#include "core/autograd/gradcheck.h"
#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "core/tensor/allocator.h"
#include "tests/support/message_of.h"
#include "tests/support/test_device.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::test_device;
using ::testing::ThrowsMessage;

Tensor leaf(std::vector<double> values) {
  const auto count = static_cast<int64_t>(values.size());
  return from_vector(values, {count}, test_device()).set_requires_grad();
}

/// Without gradient.
Tensor constant(std::vector<double> values) { return leaf(std::move(values)).detach(); }

std::vector<double> grad_of(const Tensor& x) { return x.grad().to_vector<double>(); }

TEST(Backward, DifferentiatesAnExpression) {
  const Tensor x = leaf({1, 2, 3});
  backward(sum(x * x + x * 3.0));
  EXPECT_THAT(grad_of(x), ElementsAre(5, 7, 9));
}

TEST(Backward, AccumulatesUntilZeroGrad) {
  Tensor x = leaf({2});
  backward(sum(x * x));
  backward(sum(x * 10.0));
  EXPECT_THAT(grad_of(x), ElementsAre(14));
  x.zero_grad();
  EXPECT_FALSE(x.grad().defined());
  backward(sum(x * 1.0));
  EXPECT_THAT(grad_of(x), ElementsAre(1));
}

TEST(Backward, AddsEveryUseOfALeafAndOfAResult) {
  const Tensor x = leaf({3});
  const Tensor y = x * x;        // a diamond: y is used twice
  backward(sum(y * y + y + x));  // x^4 + x^2 + x
  EXPECT_THAT(grad_of(x), ElementsAre(4 * 27 + 2 * 3 + 1));
}

TEST(Backward, ASumThatIsTheSameTensorTwiceDoesNotShareItsGradient) {
  // add passes dy on unchanged to both inputs; adding up must not write into what others see.
  const Tensor a = leaf({1}), b = leaf({1});
  const Tensor s = a + b;
  backward(sum(s + a + a + b));
  EXPECT_THAT(grad_of(a), ElementsAre(3));
  EXPECT_THAT(grad_of(b), ElementsAre(2));
}

TEST(Backward, GradientOfALeafIsNotTheCallersTensor) {
  const Tensor x = leaf({1, 1});
  const Tensor dy = constant({2, 2});
  backward(x + 0.0, {.gradient = dy});
  backward(x + 0.0, {.gradient = dy});
  EXPECT_THAT(grad_of(x), ElementsAre(4, 4));
  EXPECT_THAT(dy.to_vector<double>(), ElementsAre(2, 2));
}

TEST(Backward, FollowsControlFlow) {
  const Tensor x = leaf({2});
  for (int steps : {1, 2, 3}) {
    Tensor(x).zero_grad();
    Tensor y = x;
    for (int i = 0; i < steps; ++i) y = y * x;
    backward(sum(y));
    EXPECT_DOUBLE_EQ(grad_of(x)[0], (steps + 1) * std::pow(2.0, steps));
  }
}

TEST(Backward, NeedsAScalarOrAGradient) {
  const Tensor x = leaf({1, 2});
  EXPECT_THAT(message_of([&] { backward(x * 2.0); }),
              HasSubstr("needs a scalar, got shape [2]; pass the output gradient"));
  EXPECT_THAT(message_of([&] {
                backward(x * 2.0, {.gradient = constant({1, 1, 1})});
              }),
              HasSubstr(concat("must be f64[2] on ", x.device(), ", got f64[3]")));
  EXPECT_THAT(message_of([&] { backward(x.detach() * 2.0); }),
              HasSubstr("depends on a tensor that requires a gradient"));
  backward(x * 2.0, {.gradient = constant({1, 10})});
  EXPECT_THAT(grad_of(x), ElementsAre(2, 20));
}

TEST(Backward, ASecondBackwardNeedsRetainGraph) {
  const Tensor x = leaf({3});
  Tensor y = sum(x * x);
  backward(y, {.retain_graph = true});
  backward(y);
  EXPECT_THAT(grad_of(x), ElementsAre(12));
  EXPECT_THAT(message_of([&] { backward(y); }), HasSubstr("pass retain_graph"));
  EXPECT_THAT(grad_of(x), ElementsAre(12)) << "a refused backward must not change gradients";
}

TEST(Backward, ARefusedBackwardLeavesTheGraphUsable) {
  const Tensor x = leaf({3}), w = leaf({5});
  const Tensor h = x * x;
  const Tensor b = sum(w * h);
  backward(sum(h));
  // Refused at h, when w was already counted.
  EXPECT_THAT(message_of([&] { backward(b); }), HasSubstr("pass retain_graph"));
  for (int i = 1; i <= 3; ++i) {
    backward(sum(w * w));
    EXPECT_THAT(grad_of(w), ElementsAre(10 * i));
  }
}

TEST(Backward, NoticesThatAHookRanPartOfTheGraph) {
  const Tensor x = leaf({2});
  const Tensor h = (x * 1.0) * (x + 0.0);
  const Tensor y = h * 3.0;
  auto handle = register_pre_hook(y, [&](const Tensor&) { return backward(h), Tensor(); });
  EXPECT_THAT(message_of([&] { backward(y); }), HasSubstr("mul needs for its gradient was freed"));
}

TEST(Backward, KeepsNoGraphOfTheOutputGradient) {
  const Tensor x = leaf({2}), w = leaf({5});
  backward(x + 0.0, {.gradient = w * 2.0});
  EXPECT_FALSE(x.grad().requires_grad());
}

TEST(Backward, RetainedGradientsAccumulateLikeThoseOfLeaves) {
  const Tensor x = leaf({2});
  const Tensor y = x * 3.0;
  retain_grad(y);
  const Tensor z = sum(y * y);
  backward(z, {.retain_graph = true});
  backward(z);
  EXPECT_THAT(grad_of(y), ElementsAre(24));
  EXPECT_THAT(grad_of(x), ElementsAre(72));
}

TEST(Gradcheck, FindsAWrongFormulaAndLeavesNoGradient) {
  const Tensor x = leaf({1, 2});
  const auto wrong = [](const std::vector<Tensor>& in) {
    return attach("wrong", square(in[0]).detach(),
                  wrt(in[0], [x = save(in[0])](const Tensor& dy) { return dy * x() * 2.001; }));
  };
  EXPECT_NO_THROW(gradcheck([](const auto& in) { return square(in[0]); }, {x}));
  EXPECT_FALSE(x.grad().defined());
  EXPECT_NO_THROW(gradcheck(wrong, {x}, {.relative_tolerance = 1e-2}));
  try {
    gradcheck(wrong, {x}, {.relative_tolerance = 1e-5});
    FAIL() << "a wrong gradient passed";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("input 0 of shape [2], element 0: backward gives"));
  }
}

// A check of nothing would pass whatever the formula.
TEST(Gradcheck, RefusesToCheckNothing) {
  const auto same = [](const std::vector<Tensor>& in) { return in[0] * 1.0; };
  const Tensor fixed = ones({2}, {DType::kF64}), x = leaf({1, 2});
  EXPECT_THAT([&] { gradcheck(same, {fixed}); },
              ThrowsMessage<InvalidArgument>(
                  "gradcheck: needs an input that requires a gradient, or nothing is checked"));
  EXPECT_THAT([&] { gradcheck([](const auto&) { return Tensor(); }, {x}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("got an undefined tensor")));
  EXPECT_NO_THROW(gradcheck([](const auto& in) { return in[1] * 1.0; }, {Tensor(), x}));
}

TEST(Backward, NoticesAnInPlaceChangeOfASavedTensor) {
  const Tensor a = leaf({1, 2}), b = constant({5, 6});
  const Tensor y = sum(a * b);
  fill_inplace(b, 0);
  EXPECT_THAT(
      message_of([&] { backward(y); }),
      HasSubstr("mul: a tensor of shape [2] saved for backward was changed in place: it had "
                "version 0 but now has 1"));
}

TEST(Backward, NoticesAChangeThroughAView) {
  const Tensor a = leaf({1, 2}), b = constant({5, 6});
  const Tensor y = sum(a * b);
  fill_inplace(slice(b, 0, 0, 1), 0);
  EXPECT_THAT(message_of([&] { backward(y); }), HasSubstr("changed in place"));
}

TEST(Backward, AnUnsavedTensorMayChange) {
  const Tensor a = leaf({1, 2}), b = constant({5, 6});
  const Tensor y = sum(a + b);
  fill_inplace(b, 0);
  backward(y);
  EXPECT_THAT(grad_of(a), ElementsAre(1, 1));
}

TEST(Backward, RefusesInPlaceChangeOfALeafWhileRecording) {
  const Tensor x = leaf({1});
  EXPECT_THAT(message_of([&] { fill_inplace(x, 0); }), HasSubstr("requires a gradient"));
  NoGrad no_grad;
  fill_inplace(x, 7);
  EXPECT_EQ(x.item(), 7);
}

TEST(Backward, NoGradAndDetachRecordNothing) {
  const Tensor x = leaf({2});
  {
    NoGrad no_grad;
    EXPECT_FALSE((x * x).requires_grad());
  }
  EXPECT_TRUE((x * x).requires_grad());
  const Tensor d = x.detach();
  EXPECT_FALSE(d.requires_grad());
  EXPECT_EQ(d.data<double>(), x.data<double>());
  backward(sum(d * x));
  EXPECT_THAT(grad_of(x), ElementsAre(2)) << "no gradient through the detached factor";
}

TEST(Backward, OnlyLeavesMayStartToRequireAGradient) {
  Tensor y = leaf({1}) * 2.0;
  EXPECT_THAT(message_of([&] { y.set_requires_grad(false); }), HasSubstr("mul is not a leaf"));
  EXPECT_THAT(message_of([] { arange(3).set_requires_grad(); }), HasSubstr("got i64"));
}

// No recursion: with one stack frame per node this would need gigabytes of stack.
TEST(Backward, RunsAndDestroysAMillionOpChain) {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < 1'000'000; ++i) y = y + 1.0;
  EXPECT_EQ(y.item(), 1'000'001);
  backward(y);
  EXPECT_THAT(grad_of(x), ElementsAre(1));
  y = Tensor();

  Tensor unused = x;
  for (int i = 0; i < 1'000'000; ++i) unused = unused * x;  // saves tensors that own the chain
  unused = Tensor();
}

TEST(Backward, RunsNewestOpFirst) {
  std::vector<std::string> order;
  const Tensor x = leaf({1});
  const Tensor early = x * 2.0;
  const Tensor late = x * 3.0;
  auto h1 = register_post_hook(early, [&](auto, const Tensor&) { order.push_back("early"); });
  auto h2 = register_post_hook(late, [&](auto, const Tensor&) { order.push_back("late"); });
  backward(sum(early + late));
  EXPECT_THAT(order, ElementsAre("late", "early"));
}

TEST(Backward, RunsInsideABackward) {
  const Tensor x = leaf({2}), w = leaf({5});
  const Tensor y = x * 3.0;
  auto handle = register_pre_hook(y, [&](const Tensor&) {
    detail::recording = true;  // what a recomputing op does
    const Tensor inner = sum(w * w * x);
    detail::recording = false;
    backward(inner);
    return Tensor();
  });
  backward(sum(y * w));
  EXPECT_THAT(grad_of(w), ElementsAre(6 + 20));
  EXPECT_THAT(grad_of(x), ElementsAre(15 + 25));
}

TEST(Backward, AProductRefusesTwiceWhatItRefusesOnce) {
  const TensorOptions options{DType::kF64, test_device()};
  Tensor x = full({2, 3}, 0.5, options).set_requires_grad();
  const Tensor w = sin(full({3, 1}, 0.5, options).set_requires_grad());
  const Tensor y = matmul(sin(x), w);
  add_inplace(w.detach(), ones({3, 1}, options));
  const Tensor dy = ones({2, 1}, options);
  const auto message = [&] { return message_of([&] { backward(y, {.gradient = dy}); }); };
  const std::string first = message();
  EXPECT_THAT(first, ::testing::HasSubstr("changed in place"));
  EXPECT_EQ(message(), first);
}

// The memory of an operand that nobody else keeps goes to the other operand's gradient.
TEST(Backward, AProductLetsItsLeftOperandGo) {
  constexpr int64_t kRows = 4096, kInner = 64, kBytes = kRows * kInner * 4;
  const TensorOptions options{DType::kF32, test_device()};
  Tensor x = full({kRows, kInner}, 0.5, options).set_requires_grad();
  Tensor w = full({kInner, 1}, 0.5, options).set_requires_grad();
  const auto peak = [&](bool retain) {
    const Tensor y = matmul(add(x, 1.0), w);
    const Tensor dy = ones(y.shape(), options);
    reset_peak_memory(test_device());
    const int64_t before = memory_stats(test_device()).total_allocated_bytes;
    backward(y, {.gradient = dy, .retain_graph = retain});
    x.zero_grad();
    w.zero_grad();
    return memory_stats(test_device()).peak_allocated_bytes - before;
  };
  const int64_t retained = peak(true), plain = peak(false);
  EXPECT_LE(plain + kBytes, retained + kRows);
}

}  // namespace
}  // namespace trireme
