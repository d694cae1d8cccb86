// Bad input to the ops of indexing, shaping, statistics and products: each message says which op,
// what must hold, what it got.

#include <gtest/gtest.h>

#include "core/ops/ops.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using testing::message_of;

const TensorOptions kI64{DType::kI64};
const TensorOptions kBool{DType::kBool};

Tensor ids(const std::vector<int64_t>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}

TEST(IndexErrors, NameOpNumberAndPosition) {
  const Tensor x = zeros({3, 2});
  EXPECT_EQ(message_of([&] {
              index_select(x, 0, ids({0, 1, 3}));
            }),
            "index_select: index must lie in [0, 3), got 3 at position 2");
  EXPECT_EQ(message_of([&] {
              gather(x, 1, reshape(ids({0, -1}), {1, 2}));
            }),
            "gather: index must lie in [0, 2), got -1 at position 1");
  EXPECT_EQ(message_of([&] {
              scatter_add(x, 0, reshape(ids({5, 0}), {1, 2}), x);
            }),
            "scatter_add: index must lie in [0, 3), got 5 at position 0");
  EXPECT_EQ(message_of([&] {
              one_hot(ids({0, 4}), 4);
            }),
            "one_hot: id must lie in [0, 4), got 4 at position 1");
  EXPECT_EQ(message_of([&] {
              gather(zeros({3, 0}), 1, zeros({3, 1}, kI64));
            }),
            "gather: index of shape [3, 1] must lie in [0, 0), which is empty");
}

TEST(IndexErrors, NameShapesAndDtypes) {
  const Tensor x = zeros({3, 2});
  EXPECT_EQ(message_of([&] { index_select(x, 0, x); }),
            "index_select: index must be a list [count], got [3, 2]");
  EXPECT_EQ(message_of([&] { index_select(x, 0, zeros({2})); }),
            "index_select: ids must be i64 or i32, got f32");
  EXPECT_EQ(message_of([&] {
              gather(x, 0, zeros({2, 3}, kI64));
            }),
            "gather: index must have x's rank and, but in dimension 0, no larger extents, index is "
            "[2, 3] but x is [3, 2]");
  EXPECT_EQ(
      message_of([&] {
        scatter_add(x, 0, zeros({2, 2}, kI64), zeros({1, 2}));
      }),
      "scatter_add: index must have src's rank and no larger extents, index is [2, 2] but src "
      "is [1, 2]");
  const Tensor mask = zeros({2}, kBool);
  EXPECT_EQ(message_of([&] { scatter_add(mask, 0, ids({0}), mask); }),
            "scatter_add: needs f64, f32, bf16, f16, i64 or i32, got bool; convert with to()");
  EXPECT_EQ(message_of([&] { masked_fill(x, x, 1); }), "masked_fill: mask must be bool, got f32");
  EXPECT_EQ(message_of([&] { masked_fill(ids({1}), zeros({1}, kBool), 0.5); }),
            "masked_fill: i64 elements need a whole number that fits, got 0.5; convert with to()");
  EXPECT_EQ(message_of([&] { one_hot(x); }), "one_hot: ids must be i64 or i32, got f32");
  EXPECT_EQ(message_of([&] { topk(x, 3); }),
            "topk: k must lie in [0, 2], the extent of dimension 1 of [3, 2], got 3");
  EXPECT_EQ(message_of([&] { sort(scalar(1)); }), "sort: dimension must be in [0, 0), got -1");
  EXPECT_EQ(message_of([&] { tril(zeros({2})); }), "tril: needs matrices, got shape [2]");
  EXPECT_EQ(message_of([&] { logical_and(x, x); }),
            "logical_and: needs bool operands, got f32; compare with not_equal(x, 0)");
}

TEST(ShapingErrors, NameWhatMustHold) {
  const Tensor x = zeros({3, 2});
  EXPECT_EQ(message_of([&] { flip(x, {0, -2}); }), "flip: dimension -2 of [3, 2] is given twice");
  EXPECT_EQ(
      message_of([&] { pad(x, {1}); }),
      "pad: padding must be pairs {before, after}, at most one per dimension of [3, 2], got 1 "
      "numbers");
  EXPECT_EQ(message_of([&] {
              pad(x, {-2, -1});
            }),
            "pad: cannot cut 2 and 1 from dimension 1 of [3, 2]");
  EXPECT_EQ(message_of([&] { repeat(x, {2}); }),
            "repeat: needs a number of times, at least 0, for each dimension of [3, 2], got [2]");
  EXPECT_EQ(message_of([&] {
              stack({x, zeros({2, 2})});
            }),
            "stack: shapes must be equal, got [3, 2] and [2, 2]");
  EXPECT_EQ(message_of([&] { split(x, 0); }),
            "split: pieces must have a positive extent, got 0 for dimension 0 of [3, 2]");
  EXPECT_EQ(message_of([&] {
              split(x, std::array<int64_t, 2>{1, 1});
            }),
            "split: sizes must not be negative and add up to the extent of dimension 0 of [3, 2], "
            "got [1, 1]");
  EXPECT_EQ(message_of([&] { chunk(x, 0); }), "chunk: needs a positive number of pieces, got 0");
}

TEST(StatisticsErrors, NameWhatMustHold) {
  EXPECT_EQ(message_of([] {
              min(zeros({2, 0}), 1);
            }),
            "min: dimension 1 of [2, 0] is empty: nothing is smallest");
  EXPECT_EQ(message_of([] { norm(zeros({2}), -1); }),
            "norm: p must be at least 0, or -infinity, got -1");
  EXPECT_EQ(message_of([] { norm(zeros({2}, kI64)); }),
            "norm: needs a floating-point dtype, got i64");
  EXPECT_EQ(message_of([] { var(zeros({2}, kI64)); }),
            "var: needs a floating-point dtype, got i64");
  EXPECT_EQ(message_of([] { std(zeros({2, 2}), 2); }), "std: dimension must be in [-2, 2), got 2");
  EXPECT_EQ(message_of([] { cumsum(zeros({2}), 1); }),
            "cumsum: dimension must be in [-1, 1), got 1");
  EXPECT_EQ(message_of([] { prod(Tensor()); }), "prod: operand is undefined");
  EXPECT_EQ(message_of([] { arange(0.5, 3.0, 1, kI64); }),
            "arange: i64 elements need whole numbers, got 0.5, 1");
  EXPECT_EQ(message_of([] { linspace(0, 1, -1); }), "linspace: count must not be negative, got -1");
}

TEST(ProductErrors, NameShapesAndTheEquation) {
  const Tensor a = zeros({2, 3}), b = zeros({3, 4});
  EXPECT_EQ(message_of([&] { bmm(a, b); }),
            "bmm: needs [batch, m, k] and [batch, k, n], lhs is [2, 3] but rhs is [3, 4]");
  EXPECT_EQ(message_of([&] { addmm(zeros({3}), a, b); }),
            "addmm: shapes do not broadcast, lhs is [3] but rhs is [2, 4]");
  EXPECT_EQ(message_of([&] { addmm(a, b, a); }),
            "addmm: needs [m, k] and [k, n], a is [3, 4] but b is [2, 3]");
  EXPECT_EQ(message_of([&] { einsum("ij,jk->ik", {a}); }),
            "einsum: 'ij,jk->ik' needs 2 operands, got 1");
  EXPECT_EQ(message_of([&] {
              einsum("ij,kj->ik", {a, b});
            }),
            "einsum: dimension 1 of operand 1, [3, 4], must have extent 3 as the same label of "
            "'ij,kj->ik' has elsewhere");
  EXPECT_EQ(message_of([&] { einsum("ijk->i", {a}); }),
            "einsum: operand 0 of 'ijk->i' has the shape [2, 3]");
  EXPECT_EQ(message_of([&] { einsum("ij->il", {a}); }),
            "einsum: the output must name labels of the operands once each, got 'ij->il'");
  EXPECT_EQ(message_of([&] { einsum("i.j->ij", {a}); }),
            "einsum: a term has letters and at most one '...', got 'i.j' in 'i.j->ij'");
  EXPECT_EQ(message_of([&] {
              einsum("ij", {zeros({2, 3}, kI64)});
            }),
            "einsum: needs a floating-point dtype, got i64");
}

}  // namespace
}  // namespace trireme
