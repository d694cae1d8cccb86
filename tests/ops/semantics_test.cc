// What the table cannot say: sharing of storage, NaN and infinity, ties, versions, stride-0
// gradients.

#include <array>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Tensor vector(std::vector<float> values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}
float first(const Tensor& x) { return x.to_vector<float>()[0]; }

TEST(Views, ShareStorageAndVersion) {
  const Tensor x = arange(24, {DType::kF32});
  const Tensor cube = reshape(x, {2, 3, -1});
  for (const Tensor& view :
       {cube, transpose(cube, 0, 2), permute(cube, std::array{1, 2, 0}), slice(cube, 1, 1, 3),
        unsqueeze(cube, 0), squeeze(unsqueeze(cube, 0), 0),
        expand(unsqueeze(cube, 0), {5, 2, 3, 4}), contiguous(cube)}) {
    EXPECT_EQ(view.storage(), x.storage()) << view.shape();
  }
  fill_inplace(slice(cube, 2, 0, 1), -1);
  EXPECT_EQ(x.to_vector<float>()[4], -1);
  EXPECT_EQ(x.version(), 1u);
  EXPECT_NE(contiguous(transpose(cube, 0, 1)).storage(), x.storage());
}

TEST(Views, OfAViewPointIntoTheSameElements) {
  const Tensor x = reshape(arange(12, {DType::kF32}), {3, 4});
  const Tensor column = slice(transpose(slice(x, 0, 1, 3), 0, 1), 0, 2, 3);
  EXPECT_EQ(column.shape(), (Shape{1, 2}));
  EXPECT_THAT(column.to_vector<float>(), ElementsAre(6, 10));
}

TEST(NaN, StaysNaNThroughEveryActivation) {
  const Tensor x = vector({kNaN});
  for (auto* op : {exp, log, sqrt, rsqrt, reciprocal, square, abs, sin, cos, tanh, sigmoid, relu}) {
    EXPECT_TRUE(std::isnan(first(op(x))));
  }
  EXPECT_TRUE(std::isnan(first(gelu(x, Gelu::kErf))));
  EXPECT_TRUE(std::isnan(first(gelu(x, Gelu::kTanh))));
  EXPECT_TRUE(std::isnan(first(clamp(x, -1, 1))));
  for (auto* op : {maximum, minimum}) {
    EXPECT_TRUE(std::isnan(first(op(x, vector({1})))));
    EXPECT_TRUE(std::isnan(first(op(vector({1}), x))));
  }
  EXPECT_TRUE(std::isnan(max(vector({1, kNaN, 2})).item()));
  EXPECT_EQ(argmax(vector({1, kNaN, 2, kNaN}), 0).item(), 1);
  const Tensor row = zeros({2, 100});
  fill_inplace(slice(row, 1, 70, 72), kNaN);
  EXPECT_THAT(argmax(row, 1).to_vector<int64_t>(), ElementsAre(70, 70));
  EXPECT_THAT(argmax(reshape(row, {100, 2}), 0).to_vector<int64_t>(), ElementsAre(35, 35));
  EXPECT_FALSE(equal(x, x).item());
}

// The values of C's own functions; 17 elements, so that vector and remainder loops both see them.
TEST(Infinity, GivesTheLimits) {
  const auto limit = [](auto op, float x) {
    const Tensor y = op(full({17}, x));
    const std::vector<float> values = y.template to_vector<float>();
    EXPECT_EQ(values.front(), values.back());
    return values.back();
  };
  using Unary = Tensor (*)(const Tensor&);
  EXPECT_EQ(limit(Unary{exp}, kInf), kInf);
  EXPECT_EQ(limit(Unary{exp}, -kInf), 0);
  EXPECT_EQ(limit(Unary{exp}, 89), kInf);
  EXPECT_EQ(limit(Unary{exp}, -150), 0);
  EXPECT_EQ(limit(Unary{log}, kInf), kInf);
  EXPECT_EQ(limit(Unary{log}, 0), -kInf);
  EXPECT_EQ(limit(Unary{log}, -0.0f), -kInf);
  EXPECT_TRUE(std::isnan(first(log(full({17}, -1)))));
  EXPECT_EQ(limit(Unary{tanh}, kInf), 1);
  EXPECT_EQ(limit(Unary{tanh}, -kInf), -1);
  EXPECT_EQ(limit(Unary{sigmoid}, kInf), 1);
  EXPECT_EQ(limit(Unary{sigmoid}, -kInf), 0);
  EXPECT_EQ(limit(Unary{relu}, -kInf), 0);
  EXPECT_EQ(limit([](const Tensor& x) { return gelu(x); }, kInf), kInf);
  EXPECT_EQ(limit([](const Tensor& x) { return gelu(x); }, -1e30f), 0);
  EXPECT_EQ(limit([](const Tensor& x) { return gelu(x, Gelu::kTanh); }, -1e10f), 0);
  EXPECT_TRUE(std::signbit(first(tanh(vector({-0.0f})))));
}

TEST(ReluAndClamp, DropTheGradientInsteadOfMultiplyingByZero) {
  Tensor x = vector({-1, 2}).set_requires_grad();
  backward(relu(x), {.gradient = vector({kInf, kInf})});
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(0, kInf));
  x.zero_grad();
  backward(clamp(x, -0.5, 0.5), {.gradient = vector({kInf, kNaN})});
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(0, 0));
}

TEST(MaximumAndMinimum, TiesShareTheGradient) {
  const Tensor a = vector({1, 2, 3}).set_requires_grad();
  const Tensor b = vector({1, 5, 0}).set_requires_grad();
  backward(sum(maximum(a, b)));
  EXPECT_THAT(a.grad().to_vector<float>(), ElementsAre(0.5, 0, 1));
  EXPECT_THAT(b.grad().to_vector<float>(), ElementsAre(0.5, 1, 0));
  backward(sum(minimum(a, b)));  // accumulates the other half
  EXPECT_THAT(a.grad().to_vector<float>(), ElementsAre(1, 1, 1));
}

TEST(Max, FirstOfEqualsTakesTheGradient) {
  const Tensor x = vector({1, 7, 7}).set_requires_grad();
  backward(max(x));
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(0, 1, 0));
  EXPECT_EQ(argmax(x, 0).item(), 1);
}

TEST(Mean, OfNothingIsNaNAndSumOfNothingIsZero) {
  EXPECT_TRUE(std::isnan(mean(zeros({0})).item()));
  EXPECT_EQ(sum(zeros({0})).item(), 0);
  EXPECT_THAT(sum(zeros({2, 0}), 1).to_vector<float>(), ElementsAre(0, 0));
}

TEST(Sum, GradientIsAViewWithoutMemoryOfItsOwn) {
  Tensor dx;
  const Tensor x = ones({1000, 50}).set_requires_grad();
  const Tensor y = mul(x, 2);
  const HookHandle hook = register_hook(y, [&](const Tensor& gradient) {
    dx = gradient;
    return Tensor();
  });
  backward(sum(relu(y)));
  EXPECT_EQ(x.grad().to_vector<float>()[49999], 2);
  const Tensor z = mul(x, 2);
  const HookHandle second = register_hook(z, [&](const Tensor& gradient) {
    dx = gradient;
    return Tensor();
  });
  backward(sum(z));
  EXPECT_EQ(dx.shape(), x.shape());
  EXPECT_EQ(dx.storage()->bytes(), 4);
}

TEST(Sum, IsAccurateOverTenMillionElements) {
  // Summing in f32 would be off by percents.
  const float tenth = 0.1f;
  EXPECT_EQ(sum(full({10'000'000}, tenth)).item(), static_cast<float>(1e7 * tenth));
  EXPECT_EQ(sum(full({1'000'000, 10}, tenth), 0).to_vector<float>()[3],
            static_cast<float>(1e6 * tenth));
  EXPECT_EQ(sum(full({5000}, 1, {DType::kBool})).item(), 5000);
}

TEST(Inplace, BumpsTheVersionThatSavedTensorsCheck) {
  const Tensor x = vector({1, 2}).set_requires_grad();
  const Tensor w = vector({3, 4});
  const Tensor y = x * w;
  mul_inplace(w, 2);
  EXPECT_THAT(w.to_vector<float>(), ElementsAre(6, 8));
  EXPECT_THAT(testing::message_of([&] { backward(sum(y)); }), HasSubstr("mul"));
}

TEST(Inplace, AddBroadcastsAndTakesViews) {
  const Tensor x = zeros({2, 3});
  add_inplace(x, vector({1, 2, 3}), 2);
  add_inplace(transpose(x, 0, 1), vector({10, 20}));
  EXPECT_THAT(x.to_vector<float>(), ElementsAre(12, 14, 16, 22, 24, 26));
  const Tensor counts = zeros({2}, {DType::kI64});
  add_inplace(counts, ones({2}, {DType::kI64}), 3);
  EXPECT_THAT(counts.to_vector<int64_t>(), ElementsAre(3, 3));
}

TEST(NoGradMode, RecordsNothing) {
  const Tensor x = vector({1, 2}).set_requires_grad();
  const NoGrad no_grad;
  EXPECT_FALSE(tanh(x * x).requires_grad());
  EXPECT_FALSE(concat({x, x}, 0).requires_grad());
}

TEST(Attention, AQueryThatSeesNoKeyGetsZerosAndGivesNoGradient) {
  Generator generator(5);
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    const auto draw = [&] { return cast(randn({1, 1, 3, 2}, generator), dtype).detach(); };
    const Tensor q = draw().set_requires_grad(), k = draw().set_requires_grad(),
                 v = draw().set_requires_grad();
    // The second query sees nothing, and nobody sees the last key.
    const Tensor seen = from_vector<double>({1, 1, 0, 0, 0, 0, 1, 0, 0}, {3, 3});
    const Tensor y = scaled_dot_product_attention(q, k, v, {.mask = cast(seen, DType::kBool)});
    EXPECT_EQ(slice(y, 2, 1, 2).to_vector<double>(), (std::vector<double>{0, 0}));
    EXPECT_EQ(slice(y, 2, 2, 3).to_vector<double>(), slice(v, 2, 0, 1).to_vector<double>());
    backward(sum(y));
    EXPECT_EQ(slice(q.grad(), 2, 1, 2).to_vector<double>(), (std::vector<double>{0, 0}));
    for (const Tensor* x : {&k, &v}) {
      EXPECT_EQ(slice(x->grad(), 2, 2, 3).to_vector<double>(), (std::vector<double>{0, 0}));
    }
  }
}

}  // namespace
}  // namespace trireme
