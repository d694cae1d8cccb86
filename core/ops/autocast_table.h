// Which op computes in which precision under Autocast (core/amp/autocast.h).
//
// One row for every function of core/ops/ops.h and the headers it includes. Only f32 and 16-bit
// operands are ever converted: an op with an f64 operand, and integers, stay as they are.

#pragma once

#include <cstdint>
#include <string_view>

namespace trireme::detail {

enum class Precision : uint8_t {
  kLow,      // products: operands are converted to the guard's dtype, and so is the result
  kF32,      // sums of many terms, steep functions: operands are converted to f32
  kWidest,   // several operands: where their dtypes differ, all become f32
  kAsGiven,  // one operand, or the same cost in any dtype: nothing is converted
  /// Nothing is converted, because the kernel computes in f32 inside and its result is f32: the
  /// large logits are not copied.
  kF32Inside,
  /// In f32, with the result in the guard's dtype: what follows is a product. What else the op
  /// gives is f32.
  kF32ToLow,
};

struct OpPrecision {
  std::string_view op;
  Precision precision;
};

inline constexpr OpPrecision kAutocastTable[] = {
    // products.h
    {"bmm", Precision::kLow},
    {"addmm", Precision::kLow},
    {"einsum", Precision::kLow},
    // convolutions.h
    {"conv2d", Precision::kLow},
    {"conv_transpose2d", Precision::kLow},
    {"conv1d", Precision::kLow},
    {"conv_transpose1d", Precision::kLow},
    // comparing.h
    {"not_equal", Precision::kWidest},
    {"greater_equal", Precision::kWidest},
    {"less", Precision::kWidest},
    {"less_equal", Precision::kWidest},
    {"logical_and", Precision::kAsGiven},
    {"logical_or", Precision::kAsGiven},
    {"logical_xor", Precision::kAsGiven},
    {"logical_not", Precision::kAsGiven},
    // indexing.h
    {"index_select", Precision::kAsGiven},
    {"gather", Precision::kAsGiven},
    {"scatter_add", Precision::kWidest},
    {"masked_fill", Precision::kAsGiven},
    {"one_hot", Precision::kAsGiven},
    {"sort", Precision::kAsGiven},
    {"argsort", Precision::kAsGiven},
    {"topk", Precision::kAsGiven},
    // shaping.h
    {"flip", Precision::kAsGiven},
    {"pad", Precision::kAsGiven},
    {"repeat", Precision::kAsGiven},
    {"stack", Precision::kWidest},
    {"split", Precision::kAsGiven},
    {"chunk", Precision::kAsGiven},
    {"tril", Precision::kAsGiven},
    {"triu", Precision::kAsGiven},
    // statistics.h
    {"min", Precision::kAsGiven},
    {"argmin", Precision::kAsGiven},
    {"prod", Precision::kF32},
    {"cumsum", Precision::kF32},
    {"var", Precision::kF32},
    {"std", Precision::kF32},
    {"norm", Precision::kF32},
    // products
    {"matmul", Precision::kLow},
    {"linear", Precision::kLow},
    {"feed_forward", Precision::kLow},
    {"scaled_dot_product_attention", Precision::kLow},
    {"scaled_dot_product_attention_qkv", Precision::kLow},
    // normalisations, losses and reductions
    {"softmax", Precision::kF32},
    {"log_softmax", Precision::kF32},
    {"cross_entropy", Precision::kF32Inside},
    {"cross_entropy_inplace", Precision::kF32Inside},
    {"layer_norm", Precision::kF32},
    {"residual_layer_norm", Precision::kF32ToLow},
    {"residual_rms_norm", Precision::kF32ToLow},
    {"rms_norm", Precision::kF32},
    {"sum", Precision::kF32},
    {"mean", Precision::kF32},
    {"sum_to", Precision::kF32},
    // steep functions
    {"exp", Precision::kF32},
    {"log", Precision::kF32},
    {"pow", Precision::kF32},
    {"rsqrt", Precision::kF32},
    {"reciprocal", Precision::kF32},
    // several operands of equal standing
    {"add", Precision::kWidest},
    {"sub", Precision::kWidest},
    {"mul", Precision::kWidest},
    {"div", Precision::kWidest},
    {"maximum", Precision::kWidest},
    {"minimum", Precision::kWidest},
    {"equal", Precision::kWidest},
    {"greater", Precision::kWidest},
    {"where", Precision::kWidest},
    {"concat", Precision::kWidest},
    // the rest
    {"neg", Precision::kAsGiven},
    {"sqrt", Precision::kAsGiven},
    {"square", Precision::kAsGiven},
    {"abs", Precision::kAsGiven},
    {"sin", Precision::kAsGiven},
    {"cos", Precision::kAsGiven},
    {"tanh", Precision::kAsGiven},
    {"sigmoid", Precision::kAsGiven},
    {"relu", Precision::kAsGiven},
    {"gelu", Precision::kAsGiven},
    {"clamp", Precision::kAsGiven},
    {"batch_norm", Precision::kAsGiven},  // f32 inside, f32 factors beside any x
    {"batch_norm_relu", Precision::kAsGiven},
    {"argmax", Precision::kAsGiven},
    {"max", Precision::kAsGiven},
    {"reshape", Precision::kAsGiven},
    {"transpose", Precision::kAsGiven},
    {"permute", Precision::kAsGiven},
    {"slice", Precision::kAsGiven},
    {"expand", Precision::kAsGiven},
    {"squeeze", Precision::kAsGiven},
    {"unsqueeze", Precision::kAsGiven},
    {"contiguous", Precision::kAsGiven},
    {"to", Precision::kAsGiven},
    {"embedding", Precision::kAsGiven},
    {"dropout", Precision::kAsGiven},
    {"max_pool2d", Precision::kAsGiven},
    {"avg_pool2d", Precision::kAsGiven},
    {"adaptive_avg_pool2d", Precision::kAsGiven},
    {"add_inplace", Precision::kAsGiven},
    {"mul_inplace", Precision::kAsGiven},
    // activations
    {"silu", Precision::kAsGiven},
    {"elu", Precision::kAsGiven},
    {"softplus", Precision::kF32},
    {"leaky_relu", Precision::kAsGiven},
    {"mish", Precision::kAsGiven},
    {"glu", Precision::kAsGiven},
    {"swiglu", Precision::kWidest},
    // losses
    {"nll_loss", Precision::kF32},
    {"binary_cross_entropy_with_logits", Precision::kF32},
    {"mse_loss", Precision::kF32},
    {"l1_loss", Precision::kF32},
    {"smooth_l1_loss", Precision::kF32},
    {"huber_loss", Precision::kF32},
    {"kl_div", Precision::kF32},
    // normalisation and recurrent layers
    {"group_norm", Precision::kF32},
    {"lstm", Precision::kLow},
    {"gru", Precision::kLow},
    {"rnn", Precision::kLow},
    // rotary.h
    {"rotary_embedding", Precision::kAsGiven},
};

}  // namespace trireme::detail
