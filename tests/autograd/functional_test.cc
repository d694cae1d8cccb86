#include "core/autograd/functional.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/ops/ops.h"
#include "tests/support/leaves.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using testing::constant;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::leaf;
using testing::message_of;
using testing::values;

TEST(Jacobian, HasARowPerElementOfTheResult) {
  const Tensor x = constant({2, 3});
  const Tensor j = jacobian(
      [](const Tensor& v) {
        return concat({v * v, sum(v, 0, KeepDim::kYes)}, 0);
      },
      x);
  EXPECT_EQ(j.shape(), (Shape{3, 2}));
  EXPECT_THAT(values(j), ElementsAre(4, 0, 0, 6, 1, 1));
}

TEST(Jacobian, KeepsTheDimensionsOfBoth) {
  const Tensor x = reshape(constant({1, 2, 3, 4, 5, 6}), {2, 3});
  const Tensor j = jacobian([](const Tensor& v) { return transpose(v, 0, 1); }, x);
  EXPECT_EQ(j.shape(), (Shape{3, 2, 2, 3}));
  EXPECT_EQ(slice(reshape(j, {6, 6}), 0, 1, 2).to_vector<double>(),
            (std::vector<double>{0, 0, 0, 1, 0, 0}));
}

TEST(Jacobian, IsZeroWhereNothingDepends) {
  const Tensor j = jacobian([](const Tensor&) { return constant({1, 2}); }, constant({3}));
  EXPECT_THAT(values(j), ElementsAre(0, 0));
}

TEST(Jacobian, LeavesALeafAlone) {
  const Tensor x = leaf({2});
  jacobian([](const Tensor& v) { return v * v; }, x);
  EXPECT_FALSE(x.grad().defined());
}

TEST(Hessian, OfAProductIsNotDiagonal) {
  // x^2 y^3
  const Tensor x = constant({2, 3});
  const Tensor h = hessian(
      [](const Tensor& v) {
        const Tensor a = slice(v, 0, 0, 1), b = slice(v, 0, 1, 2);
        return sum(a * a * b * b * b);
      },
      x);
  EXPECT_EQ(h.shape(), (Shape{2, 2}));
  EXPECT_THAT(values(h), ElementsAre(2 * 27, 6 * 2 * 9, 6 * 2 * 9, 6 * 4 * 3));
}

TEST(Hessian, OfALinearFunctionIsZero) {
  EXPECT_THAT(values(hessian([](const Tensor& v) { return sum(v * 3.0); }, constant({2}))),
              ElementsAre(0));
  EXPECT_THAT(message_of([] {
                hessian([](const Tensor& v) { return v; }, constant({1, 2}));
              }),
              HasSubstr("hessian: needs a function with a scalar result, got shape [2]"));
}

TEST(Vjp, GivesTheValueAndOneGradientPerInput) {
  const Tensor a = constant({1, 2}), b = constant({3, 4}), unused = constant({9});
  const auto fn = [](const std::vector<Tensor>& in) { return in[0] * in[1]; };
  const Vjp r = vjp(fn, {a, b, unused}, constant({10, 100}));
  EXPECT_THAT(values(r.value), ElementsAre(3, 8));
  EXPECT_FALSE(r.value.requires_grad());
  EXPECT_THAT(values(r.gradients[0]), ElementsAre(30, 400));
  EXPECT_THAT(values(r.gradients[1]), ElementsAre(10, 200));
  EXPECT_THAT(values(r.gradients[2]), ElementsAre(0));
  EXPECT_THAT(message_of([&] { vjp(fn, {a, b}); }), HasSubstr("needs a scalar"));
}

TEST(Functional, SaysWhatAFunctionMustGive) {
  const Tensor x = constant({1, 2});
  const auto nothing = [](const Tensor&) { return Tensor(); };
  const std::string must = "needs a function with a floating-point result, got an undefined one";
  EXPECT_EQ(message_of([&] { jacobian(nothing, x); }), "jacobian: " + must);
  EXPECT_EQ(message_of([&] { hessian(nothing, x); }), "hessian: " + must);
  EXPECT_EQ(message_of([&] { vjp([](const auto&) { return Tensor(); }, {x}); }), "vjp: " + must);
  EXPECT_THAT(message_of([&] { jacobian([](const Tensor& v) { return argmax(v, 0); }, x); }),
              HasSubstr("result, got i64[]"));
}

}  // namespace
}  // namespace trireme
