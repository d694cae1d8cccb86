// Weight gradients that are written straight into the leaf's slot.

#include "core/autograd/gradient_home.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/autograd/attach.h"
#include "core/autograd/backward.h"
#include "core/autograd/gradient_slot.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"

namespace trireme {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

Tensor ramp(const Shape& shape, DType dtype = DType::kF64) {
  return cast(reshape(arange(shape.product(), {DType::kF64}) * 0.25 - 1.0, shape), dtype);
}
Tensor leaf(const Shape& shape) { return ramp(shape).set_requires_grad(); }

/// A leaf with a slot that is full of 99.
struct Slotted {
  explicit Slotted(Tensor of) : leaf(std::move(of)), slot(full(leaf.shape(), 99, {leaf.dtype()})) {
    holder.set(slot);
  }
  Tensor leaf, slot;
  GradientSlot holder{leaf};
};

struct Row {
  std::string name;
  Shape shape;  // of the weight
  std::function<Tensor(const Tensor& weight)> op;
};
std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }

std::vector<Row> rows() {
  const Tensor x = ramp({3, 4}), image = ramp({2, 3, 3, 4});
  const Tensor two = ramp({4, 2}), four = ramp({4}), plane = ramp({2, 1, 1, 4});
  const Tensor pair = ramp({2}), back = ramp({2, 4});
  const Tensor ids = from_vector<int64_t>({1, 0, 1}, {3});
  return {
      {"linear", {4, 2}, [=](const Tensor& w) { return linear(x, w); }},
      {"linear_bias", {2}, [=](const Tensor& w) { return linear(x, two, w); }},
      {"matmul_left", {2, 3}, [=](const Tensor& w) { return matmul(w, x); }},
      {"matmul_right", {4, 2}, [=](const Tensor& w) { return matmul(x, w); }},
      {"embedding", {2, 4}, [=](const Tensor& w) { return embedding(w, ids); }},
      {"layer_norm_gamma", {4}, [=](const Tensor& w) { return layer_norm(x, w, four); }},
      {"layer_norm_beta", {4}, [=](const Tensor& w) { return layer_norm(x, four, w); }},
      {"rms_norm", {4}, [=](const Tensor& w) { return rms_norm(x, w); }},
      {"residual_gamma",
       {4},
       [=](const Tensor& w) { return residual_layer_norm(x, x, w, four).y; }},
      {"residual_rms", {4}, [=](const Tensor& w) { return residual_rms_norm(x, x, w).y; }},
      {"residual_beta", {4}, [=](const Tensor& w) { return residual_layer_norm(x, x, four, w).y; }},
      {"feed_forward_weight1",
       {4, 2},
       [=](const Tensor& w) { return feed_forward(x, w, pair, back, four); }},
      {"feed_forward_bias1",
       {2},
       [=](const Tensor& w) { return feed_forward(x, two, w, back, four); }},
      {"feed_forward_weight2",
       {2, 4},
       [=](const Tensor& w) { return feed_forward(x, two, pair, w, four); }},
      {"feed_forward_bias2",
       {4},
       [=](const Tensor& w) { return feed_forward(x, two, pair, back, w); }},
      {"conv2d", {2, 1, 1, 4}, [=](const Tensor& w) { return conv2d(image, w, {}); }},
      {"conv2d_bias", {2}, [=](const Tensor& w) { return conv2d(image, plane, w); }},
      {"conv_transpose2d",
       {4, 2, 1, 3},
       [=](const Tensor& w) { return conv_transpose2d(image, w); }},
      {"conv1d",
       {2, 3, 4},
       [=](const Tensor& w) {
         return conv1d(ramp({2, 5, 4}), w);
       }},
      {"batch_norm_gamma",
       {4},
       [=](const Tensor& w) { return batch_norm(image, w, four, {}, {}, {.training = true}); }},
      {"batch_norm_beta",
       {4},
       [=](const Tensor& w) { return batch_norm(image, four, w, {}, {}, {.training = true}); }},
      {"batch_norm_relu_gamma",
       {4},
       [=](const Tensor& w) {
         return batch_norm_relu(image, image, w, four, {}, {}, {.training = true});
       }},
      {"batch_norm_relu_beta",
       {4},
       [=](const Tensor& w) {
         return batch_norm_relu(image, {}, four, w, {}, {}, {.training = true});
       }},
      {"to", {4, 2}, [=](const Tensor& w) { return to(w, DType::kF32); }},
  };
}

class GradientHomeOf : public ::testing::TestWithParam<Row> {};

TEST_P(GradientHomeOf, IsTheSlotOfAnOpsOwnLeaf) {
  const Row row = GetParam();
  const auto loss = [&](const Tensor& w) {
    const Tensor y = row.op(w);
    return std::pair{y, sum(y * ramp(y.shape(), y.dtype()))};
  };
  const Tensor alone = leaf(row.shape);
  backward(loss(alone).second);
  const std::vector<double> want = alone.grad().to_vector<double>();

  const Slotted in(leaf(row.shape));
  for (int epoch = 0; epoch < 2; ++epoch) {
    fill_inplace(in.slot, 99);
    const auto [y, l] = loss(in.leaf);
    std::vector<double> behind_the_formula;  // before the leaf is given anything
    auto hook = register_post_hook(
        y, [&](auto, const Tensor&) { behind_the_formula = in.slot.to_vector<double>(); });
    if (row.name.starts_with("residual")) {
      hook.remove();  // there another node has the formula
      backward(l);
    } else {
      backward(l);
      EXPECT_EQ(behind_the_formula, want);
    }
    EXPECT_EQ(in.slot.to_vector<double>(), want);
    EXPECT_EQ(in.leaf.grad().raw_data(), in.slot.raw_data());
    Tensor(in.leaf).zero_grad();
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, GradientHomeOf, ::testing::ValuesIn(rows()),
                         [](const auto& row) { return row.param.name; });

TEST(GradientHome, EveryUseOfALeafIsAdded) {
  const Tensor x = ramp({2, 2}), w = leaf({2, 2});
  const auto loss = [&](const Tensor& v) {
    return sum(matmul(v, v) * x) + sum(linear(x, v)) + sum(linear(x * 2.0, v) * v);
  };
  backward(loss(w));
  backward(loss(w));
  const Slotted in(leaf({2, 2}));
  backward(loss(in.leaf));
  backward(loss(in.leaf));  // in the same epoch
  EXPECT_EQ(in.slot.to_vector<double>(), w.grad().to_vector<double>());
}

/// y = 0; its gradient of `w` is 5, written to its home, and then `and_then` happens. The gradient
/// of `also`, if there is one, is 7, in memory of its own.
Tensor fives(const Tensor& w, const Tensor& also, std::function<void()> and_then) {
  const Tensor other = also ? also : zeros({2}, {DType::kF64});
  return attach("fives", zeros({}, {DType::kF64}),
                wrt(other, [](const Tensor&) { return full({2}, 7, {DType::kF64}); }),
                wrt(w, [home = GradientHome(w), and_then](const Tensor&) {
                  const Tensor dw = home.empty({2}, {DType::kF64});
                  fill_inplace(dw, 5);
                  and_then();
                  return dw;
                }));
}

TEST(GradientHome, WhatIsDeliveredBeforeIsAddedToo) {
  const Slotted in(leaf({2}));
  // The 7 arrives first, while the slot holds the 5 already.
  backward(fives(in.leaf, in.leaf, [] {}));
  EXPECT_THAT(in.slot.to_vector<double>(), Each(12));
}

TEST(GradientHome, AFormulaThatFailsLeavesNothing) {
  const Slotted in(leaf({2}));
  EXPECT_THROW(backward(fives(in.leaf, {}, [] { throw Error("broken"); })), Error);
  EXPECT_FALSE(in.leaf.grad().defined());
  backward(sum(in.leaf * 1.0));
  EXPECT_THAT(in.slot.to_vector<double>(), Each(1));
}

TEST(GradientHome, IsNotTheSlotWhereAHookSeesTheGradientFirst) {
  const Slotted in(leaf({2}));
  const void* seen = nullptr;
  const auto hook = register_hook(in.leaf, [&](const Tensor& dx) {
    seen = dx.raw_data();
    return dx * 2.0;
  });
  backward(fives(in.leaf, {}, [] {}));
  EXPECT_NE(seen, in.slot.raw_data());
  EXPECT_THAT(in.slot.to_vector<double>(), ElementsAre(10, 10));
}

TEST(GradientHome, IsFreshMemoryWhereTheSlotDoesNotFit) {
  const Slotted in(leaf({2}));
  const GradientHome home(in.leaf);
  EXPECT_NE(home.empty({3}, {DType::kF64}).raw_data(), in.slot.raw_data());
  EXPECT_NE(home.empty({2}, {DType::kF32}).raw_data(), in.slot.raw_data());
  EXPECT_NE(GradientHome(in.leaf * 2.0).empty({2}, {DType::kF64}).raw_data(), in.slot.raw_data());
  EXPECT_NE(GradientHome(ramp({2})).empty({2}, {DType::kF64}).raw_data(), in.slot.raw_data());
  EXPECT_EQ(home.empty({2}, {DType::kF64}).raw_data(), in.slot.raw_data());
}

}  // namespace
}  // namespace trireme
