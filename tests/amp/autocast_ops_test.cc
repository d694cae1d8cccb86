// Every op of core/ops/ops.h against its row of the autocast table: the dtypes of result and
// gradients, for every mix of operands a model has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "core/amp/autocast.h"
#include "core/autograd/backward.h"
#include "core/ops/autocast_table.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

using detail::Precision;

Generator generator(1);

Tensor ids() { return from_vector<int64_t>({0, 1, 1, 0}, {4}); }
Tensor condition() { return greater(randn({4, 4}, generator), randn({4, 4}, generator)); }

struct Call {
  /// Of two tensors [4, 4] with gradient; an op of one operand leaves b alone.
  std::function<Tensor(const Tensor& a, const Tensor& b)> op;
  bool takes_b = false;
  bool is_comparison = false;  // the result is not floating
};
Call one(std::function<Tensor(const Tensor&)> op) {
  return {[op = std::move(op)](const Tensor& a, const Tensor&) { return op(a); }};
}
Call two(std::function<Tensor(const Tensor&, const Tensor&)> op) { return {std::move(op), true}; }
Call of_mask(std::function<Tensor(const Tensor&)> op) {
  return {[op = std::move(op)](const Tensor& a, const Tensor&) { return op(greater(a, 0.5)); },
          false, true};
}
Tensor as_image(const Tensor& x) { return reshape(x, {1, 4, 4, 1}); }
Tensor as_sequence(const Tensor& x) { return reshape(x, {1, 4, 4}); }

const std::map<std::string, Call>& calls() {
  static const std::map<std::string, Call> all = {
      {"bmm", two([](auto& a, auto& b) {
         return bmm(reshape(a, {1, 4, 4}), reshape(b, {1, 4, 4}));
       })},
      {"addmm", two([](auto& a, auto& b) { return addmm(b, a, b); })},
      {"einsum", two([](auto& a, auto& b) {
         return einsum("ij,jk", {a, b});
       })},
      {"not_equal", {[](auto& a, auto& b) { return not_equal(a, b); }, true, true}},
      {"greater_equal", {[](auto& a, auto& b) { return greater_equal(a, b); }, true, true}},
      {"less", {[](auto& a, auto& b) { return less(a, b); }, true, true}},
      {"less_equal", {[](auto& a, auto& b) { return less_equal(a, b); }, true, true}},
      {"logical_and", of_mask([](auto& mask) { return logical_and(mask, mask); })},
      {"logical_or", of_mask([](auto& mask) { return logical_or(mask, mask); })},
      {"logical_xor", of_mask([](auto& mask) { return logical_xor(mask, mask); })},
      {"logical_not", of_mask([](auto& mask) { return logical_not(mask); })},
      {"index_select", one([](auto& a) { return index_select(a, 1, ids()); })},
      {"gather", one([](auto& a) {
         return gather(a, 0, reshape(ids(), {1, 4}));
       })},
      {"scatter_add", two([](auto& a, auto& b) {
         return scatter_add(a, 0, reshape(ids(), {1, 4}), b);
       })},
      {"masked_fill", one([](auto& a) { return masked_fill(a, condition(), 3); })},
      {"one_hot", {[](auto&, auto&) { return one_hot(ids()); }, false, true}},
      {"sort", one([](auto& a) { return sort(a).values; })},
      {"argsort", {[](auto& a, auto&) { return argsort(a); }, false, true}},
      {"topk", one([](auto& a) { return topk(a, 2).values; })},
      {"flip", one([](auto& a) { return flip(a, {0}); })},
      {"pad", one([](auto& a) {
         return pad(a, {1, 2});
       })},
      {"repeat", one([](auto& a) {
         return repeat(a, {2, 1});
       })},
      {"stack", two([](auto& a, auto& b) {
         return stack({a, b});
       })},
      {"split", one([](auto& a) { return split(a, 3)[1]; })},
      {"chunk", one([](auto& a) { return chunk(a, 2)[1]; })},
      {"tril", one([](auto& a) { return tril(a); })},
      {"triu", one([](auto& a) { return triu(a); })},
      {"min", one([](auto& a) { return min(a, 0); })},
      {"argmin", {[](auto& a, auto&) { return argmin(a, 0); }, false, true}},
      {"prod", one([](auto& a) { return prod(a, 0); })},
      {"cumsum", one([](auto& a) { return cumsum(a, 0); })},
      {"var", one([](auto& a) { return var(a, 0); })},
      {"std", one([](auto& a) { return std(a, 0); })},
      {"norm", one([](auto& a) { return norm(a); })},
      {"matmul", two([](auto& a, auto& b) { return matmul(a, b); })},
      {"linear", two([](auto& a, auto& b) { return linear(a, b); })},
      {"conv2d", two([](auto& a, auto& b) { return conv2d(as_image(a), as_image(b)); })},
      {"conv_transpose2d",
       two([](auto& a, auto& b) { return conv_transpose2d(as_image(a), as_image(b)); })},
      {"conv1d", two([](auto& a, auto& b) { return conv1d(as_sequence(a), as_sequence(b)); })},
      {"conv_transpose1d",
       two([](auto& a, auto& b) { return conv_transpose1d(as_sequence(a), unsqueeze(b, -1)); })},
      {"scaled_dot_product_attention", two([](auto& a, auto& b) {
         const Tensor k = reshape(b, {1, 1, 4, 4});
         return scaled_dot_product_attention(reshape(a, {1, 1, 4, 4}), k, k);
       })},
      {"scaled_dot_product_attention_qkv", one([](auto& a) {
         return scaled_dot_product_attention_qkv(
             reshape(concat({slice(a, 1, 0, 3), slice(a, 1, 0, 3)}, 0), {1, 8, 3}), 1);
       })},
      {"softmax", one([](auto& a) { return softmax(a, 0); })},
      {"log_softmax", one([](auto& a) { return log_softmax(a); })},
      {"cross_entropy", one([](auto& a) { return cross_entropy(a, ids()); })},
      {"cross_entropy_inplace",
       one([](auto& a) { return cross_entropy_inplace(mul(a, 1.0), ids()); })},
      {"feed_forward", two([](auto& a, auto& b) {
         const Tensor bias = reshape(slice(b, 0, 0, 1), {4});
         return feed_forward(a, b, bias, b, bias);
       })},
      {"residual_layer_norm", two([](auto& a, auto& b) {
         const Tensor factor = reshape(slice(b, 0, 0, 1), {4});
         return residual_layer_norm(a, b, factor, factor).y;
       })},
      {"residual_rms_norm", two([](auto& a, auto& b) {
         return residual_rms_norm(a, b, reshape(slice(b, 0, 0, 1), {4})).y;
       })},
      {"layer_norm",
       two([](auto& a, auto& b) { return layer_norm(a, reshape(slice(b, 0, 0, 1), {4}), {}); })},
      {"rms_norm",
       two([](auto& a, auto& b) { return rms_norm(a, reshape(slice(b, 0, 0, 1), {4})); })},
      {"sum", one([](auto& a) { return sum(a); })},
      {"mean", one([](auto& a) { return mean(a, 1); })},
      {"sum_to", one([](auto& a) { return sum_to(a, {4}); })},
      {"exp", one([](auto& a) { return exp(a); })},
      {"log", one([](auto& a) { return log(a); })},
      {"pow", one([](auto& a) { return pow(a, 3); })},
      {"rsqrt", one([](auto& a) { return rsqrt(a); })},
      {"reciprocal", one([](auto& a) { return reciprocal(a); })},
      {"add", two([](auto& a, auto& b) { return a + b; })},
      {"sub", two([](auto& a, auto& b) { return a - b; })},
      {"mul", two([](auto& a, auto& b) { return a * b; })},
      {"div", two([](auto& a, auto& b) { return a / b; })},
      {"maximum", two([](auto& a, auto& b) { return maximum(a, b); })},
      {"minimum", two([](auto& a, auto& b) { return minimum(a, b); })},
      {"equal", {[](auto& a, auto& b) { return equal(a, b); }, true, true}},
      {"greater", {[](auto& a, auto& b) { return greater(a, b); }, true, true}},
      {"where", two([](auto& a, auto& b) { return where(condition(), a, b); })},
      {"concat", two([](auto& a, auto& b) {
         return concat({a, b}, 0);
       })},
      {"neg", one([](auto& a) { return -a; })},
      {"sqrt", one([](auto& a) { return sqrt(a); })},
      {"square", one([](auto& a) { return square(a); })},
      {"abs", one([](auto& a) { return abs(a); })},
      {"sin", one([](auto& a) { return sin(a); })},
      {"cos", one([](auto& a) { return cos(a); })},
      {"tanh", one([](auto& a) { return tanh(a); })},
      {"sigmoid", one([](auto& a) { return sigmoid(a); })},
      {"relu", one([](auto& a) { return relu(a); })},
      {"gelu", one([](auto& a) { return gelu(a); })},
      {"clamp", one([](auto& a) { return clamp(a, 0.6, 0.9); })},
      {"batch_norm", one([](auto& a) {
         const TensorOptions wide{acc_dtype(a.dtype())};
         const Tensor one = ones({4}, wide), zero = zeros({4}, wide);
         return batch_norm(a, one, zero, zero, one);
       })},
      {"batch_norm_relu", one([](auto& a) {
         const TensorOptions wide{acc_dtype(a.dtype())};
         const Tensor one = ones({4}, wide), zero = zeros({4}, wide);
         return batch_norm_relu(a, a, one, zero, zero, one);
       })},
      {"argmax", {[](auto& a, auto&) { return argmax(a, 0); }, false, true}},
      {"max", one([](auto& a) { return max(a, 0); })},
      {"reshape", one([](auto& a) { return reshape(a, {16}); })},
      {"transpose", one([](auto& a) { return transpose(a, 0, 1); })},
      {"permute", one([](auto& a) {
         return permute(a, {1, 0});
       })},
      {"slice", one([](auto& a) { return slice(a, 0, 1, 3); })},
      {"expand", one([](auto& a) {
         return expand(a, {2, 4, 4});
       })},
      {"squeeze", one([](auto& a) {
         return squeeze(reshape(a, {1, 16}), 0);
       })},
      {"unsqueeze", one([](auto& a) { return unsqueeze(a, 0); })},
      {"contiguous", one([](auto& a) { return contiguous(transpose(a, 0, 1)); })},
      {"to", one([](auto& a) { return to(a, a.dtype()); })},
      {"embedding", one([](auto& a) { return embedding(a, ids()); })},
      {"dropout", one([](auto& a) { return dropout(a, 0.5, generator); })},
      {"max_pool2d", one([](auto& a) { return max_pool2d(as_image(a)); })},
      {"avg_pool2d", one([](auto& a) { return avg_pool2d(as_image(a)); })},
      {"adaptive_avg_pool2d", one([](auto& a) { return adaptive_avg_pool2d(as_image(a), 1, 1); })},
      {"add_inplace", one([](auto& a) {
         const Tensor y = clone_detached(a);
         add_inplace(y, ones({4, 4}, {a.dtype()}));
         return y;
       })},
      {"mul_inplace", one([](auto& a) {
         const Tensor y = clone_detached(a);
         mul_inplace(y, 2);
         return y;
       })},
      {"silu", one([](auto& a) { return silu(a); })},
      {"elu", one([](auto& a) { return elu(a); })},
      {"softplus", one([](auto& a) { return softplus(a); })},
      {"leaky_relu", one([](auto& a) { return leaky_relu(a); })},
      {"mish", one([](auto& a) { return mish(a); })},
      {"glu", one([](auto& a) { return glu(a); })},
      {"swiglu", two([](auto& a, auto& b) { return swiglu(a, b); })},
      {"nll_loss", one([](auto& a) { return nll_loss(a, ids()); })},
      {"binary_cross_entropy_with_logits",
       two([](auto& a, auto& b) { return binary_cross_entropy_with_logits(a, b); })},
      {"mse_loss", two([](auto& a, auto& b) { return mse_loss(a, b); })},
      {"l1_loss", two([](auto& a, auto& b) { return l1_loss(a, b); })},
      {"smooth_l1_loss", two([](auto& a, auto& b) { return smooth_l1_loss(a, b); })},
      {"huber_loss", two([](auto& a, auto& b) { return huber_loss(a, b); })},
      {"kl_div", two([](auto& a, auto& b) { return kl_div(a, b); })},
      {"group_norm",
       two([](auto& a, auto& b) { return group_norm(a, 2, reshape(slice(b, 0, 0, 1), {4}), {}); })},
      {"lstm", two([](auto& a, auto& b) {
         return lstm(reshape(a, {1, 4, 4}), {b, slice(b, 0, 0, 1), {}, {}}).y;
       })},
      {"gru", two([](auto& a, auto& b) {
         const Tensor input = slice(b, 1, 0, 3);
         return gru(reshape(a, {1, 4, 4}), {input, slice(input, 0, 0, 1), {}, {}}).y;
       })},
      {"rnn", two([](auto& a, auto& b) {
         return rnn(reshape(a, {1, 4, 4}), {b, b, {}, {}}).y;
       })},
      {"rotary_embedding", one([](auto& a) {
         return rotary_embedding(reshape(a, {1, 4, 1, 4}));
       })},
  };
  return all;
}

/// What the table promises for the result.
DType expected(Precision precision, DType low, DType a, std::optional<DType> b) {
  const auto is = [&](DType t) { return a == t || b == t; };
  if (is(DType::kF64)) return DType::kF64;
  switch (precision) {
    case Precision::kLow:
    case Precision::kF32ToLow:
      return low;
    case Precision::kF32:
    case Precision::kF32Inside:
      return DType::kF32;
    case Precision::kWidest:
      return b && *b != a ? DType::kF32 : a;
    case Precision::kAsGiven:
      return a;
  }
  return a;
}

Tensor operand(DType dtype) {
  // Positive, so that log and sqrt are defined.
  Tensor x = clone_detached(cast(sigmoid(randn({4, 4}, generator)), dtype));
  return x.set_requires_grad();
}

void check(const detail::OpPrecision& row, DType low, DType type_a, DType type_b) {
  const Call& call = calls().at(std::string(row.op));
  SCOPED_TRACE(concat(row.op, " of ", type_a, " and ", type_b, " under ", low));
  const Tensor a = operand(type_a), b = operand(type_b);
  Tensor y;
  {
    const Autocast autocast(low);
    y = call.op(a, b);
  }
  const std::optional<DType> other = call.takes_b ? std::optional(type_b) : std::nullopt;
  if (!call.is_comparison) {
    EXPECT_EQ(y.dtype(), expected(row.precision, low, type_a, other));
  }
  if (!y.requires_grad()) return;
  backward(y, {.gradient = ones(y.shape(), {y.dtype()})});
  EXPECT_EQ(a.grad().dtype(), type_a);
  if (call.takes_b) {
    EXPECT_EQ(b.grad().dtype(), type_b);
  }
}

TEST(AutocastTable, HoldsForEveryOp) {
  for (DType low : {DType::kBF16, DType::kF16}) {
    for (const detail::OpPrecision& row : detail::kAutocastTable) {
      ASSERT_TRUE(calls().contains(std::string(row.op))) << row.op;
      check(row, low, DType::kF32, DType::kF32);
      check(row, low, low, low);
      check(row, low, DType::kF64, DType::kF64);
      const bool converts =
          row.precision <= Precision::kWidest || row.precision == Precision::kF32ToLow;
      if (converts && calls().at(std::string(row.op)).takes_b) {
        check(row, low, DType::kF32, low);
        check(row, low, low, DType::kF32);
      }
    }
  }
}

std::string text_of(const std::string& path) {
  std::ifstream file(std::string(TRIREME_SOURCE_DIR "/") + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(AutocastTable, ListsExactlyTheOpsThereAre) {
  // ops.h and the headers of ops that it includes.
  static const std::regex included(R"x(#include "(core/ops/[a-z_]+\.h)")x");
  static const std::regex declaration(R"(\n[A-Za-z:<>]+ ([a-z][a-z0-9_]*)\()");
  const std::string header = text_of("core/ops/ops.h");
  std::string all = header;
  for (std::sregex_iterator it(header.begin(), header.end(), included), end; it != end; ++it) {
    all += text_of((*it)[1]);
  }
  std::set<std::string> ops, rows;
  for (std::sregex_iterator it(all.begin(), all.end(), declaration), end; it != end; ++it) {
    ops.insert((*it)[1]);
  }
  for (const detail::OpPrecision& row : detail::kAutocastTable) {
    EXPECT_TRUE(rows.insert(std::string(row.op)).second) << row.op << " is listed twice";
  }
  EXPECT_EQ(rows, ops);
}

TEST(AutocastTable, HasNoSayOverIntegers) {
  const Autocast autocast(DType::kBF16);
  const Tensor i = ids();
  EXPECT_EQ((i + i).dtype(), DType::kI64);
  EXPECT_EQ(sum(i).dtype(), DType::kI64);
  EXPECT_EQ(concat({i, i}, 0).dtype(), DType::kI64);
}

}  // namespace
}  // namespace trireme
