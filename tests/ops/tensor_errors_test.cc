// Bad input to pointwise, reducing and view ops: each message says which op, what must hold, what
// it got.

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

const TensorOptions kF64{DType::kF64};
const TensorOptions kI64{DType::kI64};

TEST(PointwiseErrors, NameShapesDtypesAndOp) {
  EXPECT_EQ(message_of([] {
              add(zeros({2, 3}), zeros({4, 3}));
            }),
            "add: shapes do not broadcast, lhs is [2, 3] but rhs is [4, 3]");
  EXPECT_EQ(message_of([] { mul(zeros({2}), zeros({2}, kF64)); }),
            "mul: dtypes differ, lhs is f32 but rhs is f64; convert with to()");
  EXPECT_EQ(message_of([] { div(zeros({2}, kI64), ones({2}, kI64)); }),
            "div: needs a floating-point dtype, got i64");
  EXPECT_EQ(message_of([] { exp(zeros({2}, kI64)); }),
            "exp: needs a floating-point dtype, got i64");
  EXPECT_EQ(message_of([] { add(zeros({2}, {DType::kBool}), zeros({2}, {DType::kBool})); }),
            "add: needs f64, f32, bf16, f16, i64 or i32, got bool; convert with to()");
  EXPECT_EQ(message_of([] { relu(Tensor()); }), "relu: operand is undefined");
  EXPECT_EQ(message_of([] { sub(zeros({2}), Tensor()); }), "sub: rhs is undefined");
  EXPECT_EQ(message_of([] { clamp(zeros({2}), 2, 1); }),
            "clamp: low must not exceed high, got 2 and 1");
  EXPECT_EQ(message_of([] { where(zeros({2}), zeros({2}), zeros({2})); }),
            "where: condition must be bool, got f32");
  EXPECT_EQ(message_of([] {
              greater(zeros({2, 3}), zeros({2}));
            }),
            "greater: shapes do not broadcast, lhs is [2, 3] but rhs is [2]");
}

TEST(ReductionErrors, NameDimensionAndShape) {
  EXPECT_EQ(message_of([] { sum(zeros({2, 3}), 2); }), "sum: dimension must be in [-2, 2), got 2");
  EXPECT_EQ(message_of([] {
              sum(zeros({2, 3}), std::array{1, -1});
            }),
            "sum: dimension -1 of [2, 3] is given twice");
  EXPECT_EQ(message_of([] { mean(zeros({2}, kI64)); }),
            "mean: needs a floating-point dtype, got i64");
  EXPECT_EQ(message_of([] {
              max(zeros({2, 0}), 1);
            }),
            "max: dimension 1 of [2, 0] is empty: nothing is largest");
  EXPECT_EQ(message_of([] {
              argmax(zeros({0, 2}), 0);
            }),
            "argmax: dimension 0 of [0, 2] is empty: nothing is largest");
  EXPECT_EQ(message_of([] {
              sum_to(zeros({2, 3}), {2});
            }),
            "sum_to: shapes do not broadcast, lhs is [2] but rhs is [2, 3]");
  EXPECT_EQ(message_of([] {
              sum_to(zeros({2, 1}), {2, 3});
            }),
            "sum_to: [2, 3] does not broadcast to [2, 1]");
}

TEST(ViewErrors, NameShapes) {
  EXPECT_EQ(message_of([] {
              permute(zeros({2, 3}), std::array{0});
            }),
            "permute: order must name each dimension of [2, 3] once, got 1 of them");
  EXPECT_EQ(message_of([] {
              permute(zeros({2, 3}), std::array{1, -1});
            }),
            "permute: order must name each dimension of [2, 3] once, got -1 twice");
  EXPECT_EQ(message_of([] {
              squeeze(zeros({2, 3}), 1);
            }),
            "squeeze: dimension 1 must have extent 1, got shape [2, 3]");
  EXPECT_EQ(message_of([] {
              concat({zeros({2, 3}), zeros({3, 4})}, 1);
            }),
            "concat: shapes may differ in dimension 1 only, got [2, 3] and [3, 4]");
  EXPECT_EQ(message_of([] {
              concat({zeros({2, 3}), zeros({2})}, 1);
            }),
            "concat: shapes may differ in dimension 1 only, got [2, 3] and [2]");
  EXPECT_EQ(message_of([] { concat({}, 0); }), "concat: needs at least one tensor");
  EXPECT_EQ(message_of([] { unsqueeze(zeros({2}), 3); }),
            "unsqueeze: dimension must be in [-2, 2), got 3");
}

TEST(ScalarErrors, IntegersTakeWholeNumbersOnly) {
  const Tensor n = arange(5);
  EXPECT_EQ(message_of([&] { n * 0.5; }),
            "mul: i64 elements need a whole number that fits, got 0.5; convert with to()");
  EXPECT_NE(message_of([&] { n + 0.9; }), "nothing was thrown");
  EXPECT_NE(message_of([&] { n / 2.0; }), "nothing was thrown");
  EXPECT_NE(message_of([&] { mul_inplace(n, 0.5); }), "nothing was thrown");
  EXPECT_NE(message_of([&] { to(n, DType::kI32) * 4e9; }), "nothing was thrown");
  const Tensor bytes = to(n, DType::kU8);
  EXPECT_THAT(message_of([&] { pad(bytes, {1, 1}, 300); }), HasSubstr("pad: u8 elements need"));
  EXPECT_THAT(message_of([&] { greater(bytes, 256); }), HasSubstr("greater: u8 elements need"));
  EXPECT_EQ(pad(bytes, {0, 1}, 255).to_vector<uint8_t>()[5], 255);
  EXPECT_EQ((n * 3.0).to_vector<int64_t>()[4], 12);
  EXPECT_EQ((full({1}, 49, {DType::kF64}) / 49.0).item(), 1) << "a division, not a product";
}

// Those of all ops with golden values: BadOperands in tests/golden.
TEST(UndefinedOperands, AreErrorsOfTheOthersToo) {
  const Tensor none, table = ones({3, 3});
  Generator generator(1);
  EXPECT_EQ(message_of([&] { dropout(none, 0.5, generator); }), "dropout: operand is undefined");
  EXPECT_EQ(message_of([&] { copy_inplace(none, table); }),
            "copy_inplace: the tensor to change is undefined");
  EXPECT_EQ(message_of([&] { copy_inplace(table, none); }),
            "copy_inplace: the source is undefined");
}

TEST(InplaceErrors, RefuseElementsThatShareMemory) {
  EXPECT_EQ(message_of([] { mul_inplace(expand(ones({1}), {1000}), 2); }),
            "mul_inplace: cannot change a tensor in place whose elements share memory, here [1000] "
            "with strides [0]; write into a contiguous copy");
  EXPECT_NE(message_of([] { copy_inplace(expand(ones({1}), {3}), ones({3})); }),
            "nothing was thrown");
}

TEST(InplaceErrors, RefuseToLoseTheGradientOfTheSource) {
  const Tensor w = ones({1}).set_requires_grad(), sum = zeros({1});
  EXPECT_EQ(message_of([&] { add_inplace(sum, w * 3.0); }),
            "add_inplace: would lose the gradient of its source; use NoGrad, detach(), or an "
            "op that returns a new tensor");
  EXPECT_NE(message_of([&] { copy_inplace(sum, w); }), "nothing was thrown");
  add_inplace(sum, (w * 3.0).detach());
  EXPECT_EQ(sum.item(), 3);
}

TEST(InplaceErrors, RefuseTensorsWithGradientWhileRecording) {
  const Tensor x = zeros({2}).set_requires_grad();
  EXPECT_EQ(
      message_of([&] { add_inplace(x, ones({2})); }),
      "add_inplace: cannot change a tensor in place that requires a gradient, here f32[2]; use "
      "NoGrad, detach(), or the op that returns a new tensor");
  const Tensor result = x * 2.0;
  EXPECT_NE(message_of([&] { mul_inplace(result, 2); }), "nothing was thrown");
  const NoGrad no_grad;
  EXPECT_EQ(message_of([&] { add_inplace(x, ones({2})); }), "nothing was thrown");
  EXPECT_EQ(message_of([&] {
              add_inplace(x, ones({3, 2}));
            }),
            "add_inplace: cannot broadcast [3, 2] to [2]");
}

}  // namespace
}  // namespace trireme
