#include "core/amp/autocast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/autograd/node.h"
#include "core/models/gpt.h"
#include "core/ops/ops.h"
#include "core/optim/sgd.h"

namespace trireme {
namespace {

using ::testing::ThrowsMessage;

Tensor weight(uint64_t seed) {
  Generator generator(seed);
  return randn({8, 8}, generator).set_requires_grad();
}
DType product_dtype() { return matmul(ones({2, 2}), ones({2, 2})).dtype(); }

TEST(Autocast, ComputesWhatCastsByHandWould) {
  const Tensor x = weight(1).detach(), w = weight(2), b = slice(weight(3).detach(), 0, 0, 1);
  const Tensor bias = reshape(b, {8});
  const auto cast_low = [](const Tensor& t) { return to(t, DType::kBF16); };
  const Tensor by_hand = linear(cast_low(x), cast_low(w), cast_low(bias));
  Tensor y;
  {
    const Autocast autocast(DType::kBF16);
    y = linear(x, w, bias);
  }
  EXPECT_EQ(y.to_vector<float>(), by_hand.to_vector<float>());

  backward(sum(to(by_hand, DType::kF32)));
  const std::vector<float> expected = w.grad().to_vector<float>();
  Tensor(w).zero_grad();
  backward(sum(to(y, DType::kF32)));
  EXPECT_EQ(w.grad().to_vector<float>(), expected);
  EXPECT_EQ(w.grad().dtype(), DType::kF32);
}

TEST(Autocast, NestsAndCanBeSwitchedOffInside) {
  EXPECT_EQ(product_dtype(), DType::kF32);
  {
    const Autocast outer(DType::kBF16);
    EXPECT_EQ(product_dtype(), DType::kBF16);
    {
      const Autocast inner(DType::kF16);
      EXPECT_EQ(product_dtype(), DType::kF16);
      const Autocast off(DType::kF32);
      EXPECT_EQ(product_dtype(), DType::kF32);
    }
    EXPECT_EQ(product_dtype(), DType::kBF16);
  }
  EXPECT_EQ(product_dtype(), DType::kF32);
}

TEST(Autocast, IsOfOneThread) {
  const Autocast autocast(DType::kBF16);
  DType elsewhere = DType::kBool;
  std::thread([&] { elsewhere = product_dtype(); }).join();
  EXPECT_EQ(elsewhere, DType::kF32);
}

TEST(Autocast, EndsWithAnException) {
  EXPECT_THROW(
      {
        const Autocast autocast(DType::kBF16);
        matmul(ones({2, 3}), ones({2, 3}));
      },
      InvalidArgument);
  EXPECT_EQ(product_dtype(), DType::kF32);
}

TEST(Autocast, TakesFloatingDtypesItCanHelpOnly) {
  EXPECT_THAT([] { Autocast autocast(DType::kF64); },
              ThrowsMessage<InvalidArgument>("autocast: the dtype must be bf16 or f16, or f32 to "
                                             "switch it off, got f64"));
}

/// Nodes of casts that y's graph reaches, each counted once.
size_t casts_below(const Tensor& y) {
  std::vector<Node*> open{static_cast<Node*>(y.autograd_meta().get())}, seen;
  size_t casts = 0;
  while (!open.empty()) {
    Node* node = open.back();
    open.pop_back();
    if (std::ranges::count(seen, node) > 0) continue;
    seen.push_back(node);
    casts += std::string(node->name()) == "to" ? 1 : 0;
    for (const Ref<Node>& edge : node->edges()) {
      if (edge) open.push_back(edge.get());
    }
  }
  return casts;
}

TEST(Autocast, ConvertsAWeightOnce) {
  const Tensor x = weight(1).detach(), w = weight(2);
  const Autocast autocast(DType::kBF16);
  EXPECT_EQ(casts_below(matmul(matmul(x, w), w)), 1u);
}

// Between the products of a block lie norms, which read and write what products do.
TEST(Autocast, ConvertsOfAGptItsParametersAndTheFirstNormOnly) {
  Generator generator(5);
  const GptConfig config{.vocab_size = 32, .context = 8, .layers = 3, .heads = 2, .dim = 16};
  const Gpt model(config, generator);
  const Tensor ids = from_vector<int64_t>({1, 2, 3, 4}, {1, 4});
  const Autocast autocast(DType::kBF16);
  const size_t per_block = 8, head = 1, first_norm = 1;  // four products of a weight and a bias
  EXPECT_EQ(casts_below(model.loss(ids, ids)), 3 * per_block + head + first_norm);
}

TEST(Autocast, ConvertsAWeightAnewOnceItHasChanged) {
  const Tensor x = full({1, 1}, 1), w = full({1, 1}, 3).set_requires_grad();
  const Autocast autocast(DType::kBF16);
  EXPECT_EQ(matmul(x, w).item(), 3);
  {
    const NoGrad no_grad;
    fill_inplace(w, 5);
    EXPECT_EQ(matmul(x, w).item(), 5);
  }
  EXPECT_EQ(matmul(x, w).item(), 5);
  EXPECT_TRUE(matmul(x, w).requires_grad()) << "the cast without history was taken";
}

TEST(Autocast, OneGuardMayHoldAWholeTraining) {
  const Tensor x = weight(1).detach(), w = weight(2), w2 = clone_detached(w).set_requires_grad();
  Sgd optimizer({{{{"w", w}}, {}}}, {.lr = 0.1}), other({{{{"w", w2}}, {}}}, {.lr = 0.1});
  const auto step = [&](Optimizer& o, const Tensor& p) {
    for (int micro = 0; micro < 2; ++micro) {
      std::optional<Autocast> each;
      if (&o == &other) each.emplace(DType::kBF16);
      const Tensor loss = mean(square(matmul(x, p)));
      backward(loss);
    }
    o.step();
    o.zero_grad();
  };
  {
    const Autocast autocast(DType::kBF16);
    for (int i = 0; i < 3; ++i) step(optimizer, w);
  }
  for (int i = 0; i < 3; ++i) step(other, w2);
  EXPECT_EQ(w.to_vector<float>(), w2.to_vector<float>());
}

TEST(Autocast, LeavesATransposedOperandAsItLies) {
  const Tensor w = weight(2), x = weight(1).detach();
  Tensor y;
  {
    const Autocast autocast(DType::kBF16);
    y = matmul(x, transpose(w, 0, 1));
  }
  backward(sum(to(y, DType::kF32)));
  const Tensor low = to(x, DType::kBF16);
  const Tensor expected = matmul(ones({8, 8}, {DType::kBF16}), low);
  EXPECT_EQ(w.grad().to_vector<float>(), to(expected, DType::kF32).to_vector<float>());
}

TEST(Autocast, GivesAttentionAMaskOfItsDtype) {
  Generator generator(3);
  const Tensor q = randn({1, 2, 4, 8}, generator), mask = randn({4, 4}, generator);
  const auto cast_low = [](const Tensor& t) { return to(t, DType::kF16); };
  const Tensor low = cast_low(q);
  const Tensor expected = scaled_dot_product_attention(low, low, low, {.mask = cast_low(mask)});
  const Autocast autocast(DType::kF16);
  EXPECT_EQ(scaled_dot_product_attention(q, q, q, {.mask = mask}).to_vector<float>(),
            expected.to_vector<float>());
}

}  // namespace
}  // namespace trireme
