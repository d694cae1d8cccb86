// Bad input to the matrix and network ops: each message says which op, what must hold, what it got.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/ops/ops.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

const TensorOptions kF64{DType::kF64};

TEST(MatmulErrors, NameBothShapesOrDtypes) {
  EXPECT_EQ(message_of([] {
              matmul(zeros({2, 3}), zeros({4, 5}));
            }),
            "matmul: inner dimensions differ, lhs is [2, 3] but rhs is [4, 5]");
  EXPECT_EQ(message_of([] {
              matmul(zeros({3}), zeros({3, 5}));
            }),
            "matmul: needs matrices, lhs is [3] but rhs is [3, 5]");
  EXPECT_EQ(message_of([] {
              matmul(zeros({2, 3}), zeros({3, 2}, kF64));
            }),
            "matmul: dtypes differ, lhs is f32 but rhs is f64; convert with to()");
  EXPECT_THAT(message_of([] { matmul(zeros({2, 4, 3}), zeros({5, 3, 2})); }), HasSubstr("matmul"));
  EXPECT_THAT(message_of([] {
                matmul(zeros({2, 2}, {DType::kI64}), zeros({2, 2}, {DType::kI64}));
              }),
              HasSubstr("matmul: needs a floating-point dtype, got i64"));
}

TEST(LinearErrors, NameWeightAndBias) {
  EXPECT_EQ(message_of([] {
              linear(zeros({2, 3}), zeros({4, 5}));
            }),
            "linear: x must be [.., 4] for a weight of [4, 5], got [2, 3]");
  EXPECT_EQ(message_of([] {
              linear(zeros({2, 3}), zeros({3}));
            }),
            "linear: weight must be [in, out], got [3]");
  EXPECT_EQ(message_of([] {
              linear(zeros({2, 3}), zeros({3, 5}), zeros({4}));
            }),
            "linear: bias must be [5] for a weight of [3, 5], got [4]");
  EXPECT_THAT(message_of([] {
                linear(zeros({2, 3}), zeros({3, 5}, kF64));
              }),
              HasSubstr("x is f32 on cpu but weight is f64 on cpu"));
}

TEST(CrossEntropyErrors, NameTheRowAndTheTarget) {
  const Tensor logits = zeros({3, 4});
  EXPECT_EQ(message_of([&] {
              cross_entropy(logits, from_vector<int64_t>({0, 4, 1}, {3}));
            }),
            "cross_entropy: target must lie in [0, 4), got 4 at position 1");
  EXPECT_EQ(message_of([&] {
              cross_entropy(logits, from_vector<int32_t>({0, 1, -1}, {3}));
            }),
            "cross_entropy: target must lie in [0, 4), got -1 at position 2");
  EXPECT_EQ(message_of([&] {
              cross_entropy(logits, from_vector<int64_t>({0, 1}, {2}));
            }),
            "cross_entropy: targets must be [3] for logits of [3, 4], got [2]");
  EXPECT_EQ(message_of([&] { cross_entropy(logits, zeros({3})); }),
            "cross_entropy: ids must be i64 or i32, got f32");
}

TEST(CrossEntropy, IsNanWhenEveryRowIsIgnored) {
  const Tensor loss = cross_entropy(zeros({2, 3}), from_vector<int64_t>({-100, -100}, {2}));
  EXPECT_TRUE(std::isnan(loss.item()));
}

TEST(LayerNormErrors, NameTheFactor) {
  EXPECT_EQ(message_of([] {
              layer_norm(zeros({2, 3}), zeros({4}), {});
            }),
            "layer_norm: gamma must be [3] for x of [2, 3], got [4]");
  EXPECT_EQ(message_of([] {
              layer_norm(zeros({2, 3}), {}, zeros({1, 3}));
            }),
            "layer_norm: beta must be [3] for x of [2, 3], got [1, 3]");
}

TEST(NormErrors, NameEpsAndMomentum) {
  const Tensor x = zeros({2, 3}), mean = zeros({3}), var = ones({3});
  EXPECT_EQ(message_of([&] { layer_norm(x, {}, {}, -1e-5); }),
            "layer_norm: eps must be at least 0 and finite, got -1e-05");
  EXPECT_THAT(message_of([&] { rms_norm(x, {}, NAN); }), HasSubstr("rms_norm: eps must be"));
  EXPECT_THAT(message_of([&] { group_norm(x, 1, {}, {}, -1); }), HasSubstr("group_norm: eps"));
  EXPECT_EQ(message_of([&] { batch_norm(x, {}, {}, mean, var, {.momentum = 1.5}); }),
            "batch_norm: momentum must be in [0, 1], got 1.5");
  EXPECT_EQ(message_of([&] { batch_norm(x, {}, {}, mean); }),
            "batch_norm: running_mean and running_var must be given together, got running_mean "
            "alone");
}

TEST(EmbeddingErrors, NameTheId) {
  EXPECT_EQ(message_of([] {
              embedding(zeros({3, 2}), from_vector<int64_t>({0, 1, 3}, {3}));
            }),
            "embedding: id must lie in [0, 3), got 3 at position 2");
  EXPECT_EQ(message_of([] { embedding(zeros({3}), from_vector<int64_t>({0}, {1})); }),
            "embedding: weight must be [vocabulary, features], got [3]");
}

TEST(DropoutErrors, NameTheProbability) {
  Generator generator(1);
  EXPECT_EQ(message_of([&] { dropout(zeros({2}), 1.0, generator); }),
            "dropout: p must lie in [0, 1), got 1");
}

TEST(Dropout, AdvancesTheGeneratorByOneCounterPerFourElements) {
  Generator generator(1);
  dropout(zeros({9}), 0.5, generator);
  EXPECT_EQ(generator.offset(), 3u);
}

TEST(AttentionErrors, NameTheShapes) {
  EXPECT_EQ(
      message_of([] {
        scaled_dot_product_attention(zeros({1, 2, 3, 4}), zeros({1, 2, 3, 4}), zeros({1, 2, 4, 4}));
      }),
      "scaled_dot_product_attention: k and v must be [1, a divisor of 2, keys, 4] for q of "
      "[1, 2, 3, 4], got [1, 2, 3, 4] and [1, 2, 4, 4]");
  for (const Shape& kv : {Shape{1, 3, 3, 4}, Shape{1, 0, 3, 4}, Shape{1, 4, 3, 4}}) {
    EXPECT_THAT(message_of([&] {
                  scaled_dot_product_attention(zeros({1, 2, 3, 4}), zeros(kv), zeros(kv));
                }),
                HasSubstr("[1, a divisor of 2, keys, 4]"));
  }
  const std::string op = "scaled_dot_product_attention_qkv: ";
  EXPECT_EQ(message_of([] {
              scaled_dot_product_attention_qkv(zeros({1, 2, 10}), 2);
            }),
            op + "the last dimension must be a multiple of 6, 2 heads of queries and 2 each of "
                 "keys and values, got [1, 2, 10]");
  EXPECT_EQ(message_of([] {
              scaled_dot_product_attention_qkv(zeros({1, 2, 14}), 4, {}, 2);
            }),
            op + "the last dimension must be a multiple of 8, 4 heads of queries and 2 each of "
                 "keys and values, got [1, 2, 14]");
  EXPECT_EQ(message_of([] {
              scaled_dot_product_attention_qkv(zeros({1, 2, 10}), 4, {}, 3);
            }),
            op + "kv_heads must divide heads, got 3 and 4");
}

TEST(RotaryErrors, NameTheShapeAndTheOption) {
  const auto message = [](const Shape& shape, const RotaryOptions& options) {
    return message_of([&] { rotary_embedding(zeros(shape), options); });
  };
  const std::string op = "rotary_embedding: ";
  EXPECT_EQ(message({2, 3, 4}, {}), op + "x must be [batch, time, heads, head_dim], got [2, 3, 4]");
  EXPECT_EQ(message({1, 2, 3, 5}, {}), op + "head_dim must be even, got 5");
  EXPECT_EQ(message({1, 2, 3, 4}, {.theta = 0}), op + "theta must be positive and finite, got 0");
  EXPECT_EQ(message({1, 2, 3, 4}, {.first = -1}), op + "first must not be negative, got -1");
  EXPECT_EQ(message({1, 2, 3, 4}, {.rotated = 4}),
            op + "rotated must lie in [0, 3], the heads of x, or be -1, got 4");
  EXPECT_THAT(message_of([] {
                rotary_embedding(zeros({1, 2, 3, 4}, {DType::kI64}));
              }),
              HasSubstr("rotary_embedding"));
}

TEST(AttentionErrors, SayWhatAnOptionMustBe) {
  const Tensor x = zeros({1, 2, 3, 4});
  const auto message = [&](const AttentionOptions& options) {
    return message_of([&] { scaled_dot_product_attention(x, x, x, options); });
  };
  const std::string op = "scaled_dot_product_attention: ";
  EXPECT_EQ(message({.mask = zeros({2, 3}, {DType::kF64})}),
            op + "the mask must be bool or of q's dtype, f32, got f64");
  EXPECT_EQ(message({.mask = zeros({2, 1, 3, 3})}),
            op + "the mask must broadcast to [batch, heads, queries, keys], [1, 2, 3, 3], got "
                 "[2, 1, 3, 3]");
  EXPECT_EQ(message({.mask = zeros({3, 3}).set_requires_grad()}),
            op + "the mask takes no gradient; pass mask.detach()");
  EXPECT_EQ(message({.dropout = 0.5}), op + "dropout 0.5 needs a generator");
  EXPECT_EQ(message({.dropout = 1.5}), op + "dropout must lie in [0, 1), got 1.5");
}

TEST(ImageErrors, SayWhatDoesNotFit) {
  const Tensor x = zeros({1, 4, 4, 3});
  EXPECT_EQ(
      message_of([&] {
        conv2d(x, zeros({2, 3, 3, 4}));
      }),
      "conv2d: channels of x [1, 4, 4, 3] must be those of weight [2, 3, 3, 4] times 1 groups, "
      "and the groups must divide the output channels");
  EXPECT_THAT(message_of([&] {
                conv2d(x, zeros({2, 5, 5, 3}));
              }),
              HasSubstr("must fit into x [1, 4, 4, 3] padded by 0"));
  EXPECT_THAT(message_of([&] {
                conv2d(zeros({4, 4, 3}), zeros({2, 3, 3, 3}));
              }),
              HasSubstr("[batch, height, width, channels], got [4, 4, 3]"));
  EXPECT_THAT(message_of([&] { max_pool2d(x, {.kernel = {5, 5}}); }), HasSubstr("must fit into x"));
  // Numbers whose products overflow.
  constexpr int64_t kHuge = int64_t{1} << 62;
  const Tensor filter = zeros({3, 3, 3, 3});
  EXPECT_EQ(message_of([&] {
              conv2d(x, filter, {}, {.dilation = {kHuge, 1}});
            }),
            "conv2d: stride, dilation and padding must be at most 2147483647, got 1, "
            "4611686018427387904 and 0");
  EXPECT_THAT(message_of([&] {
                conv_transpose2d(x, filter, {}, {.stride = {1, kHuge}});
              }),
              HasSubstr("conv_transpose2d: stride, dilation and padding must be at most"));
  EXPECT_THAT(message_of([&] {
                avg_pool2d(x, {.padding = {kHuge, 0}});
              }),
              HasSubstr("avg_pool2d: kernel and stride must be at least 1 and padding"));
  EXPECT_THAT(message_of([&] {
                max_pool2d(x, {.kernel = {kHuge, 1}, .stride = {1, 1}});
              }),
              HasSubstr("max_pool2d: kernel and stride must be at most 2147483647"));
  // A window over nothing but padding.
  EXPECT_THAT(message_of([&] {
                max_pool2d(zeros({1, 0, 4, 3}), {.padding = {1, 1}});
              }),
              HasSubstr("must fit into x [1, 0, 4, 3]"));
  EXPECT_THAT(message_of([&] {
                batch_norm(zeros({1, 3}), {}, {});
              }),
              HasSubstr("more than one value per channel"));
  EXPECT_EQ(message_of([] {
              batch_norm_relu(zeros({4, 3}), zeros({4, 1}), {}, {});
            }),
            "batch_norm_relu: residual must be like x, f32[4, 3], got f32[4, 1]");
  const Tensor apart = slice(zeros({3, 2}), 1, 0, 1), pair = ones({3});
  EXPECT_THAT(message_of([&] {
                batch_norm(zeros({4, 3}), {}, {}, squeeze(apart, 1), pair);
              }),
              HasSubstr("must be contiguous"));
}

}  // namespace
}  // namespace trireme
