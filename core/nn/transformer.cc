#include "core/nn/transformer.h"

#include "core/base/trace_range.h"

namespace trireme {

CausalSelfAttention::CausalSelfAttention(int64_t dim, int64_t heads, double dropout,
                                         Generator& generator, TensorOptions options)
    : heads_(heads),
      c_attn_(dim, 3 * dim, generator, Bias::kYes, options),
      c_proj_(dim, dim, generator, Bias::kYes, options),
      attn_dropout_(dropout, generator),
      resid_dropout_(dropout, generator) {
  require(heads > 0 && dim % heads == 0, "attention", "dim must be a multiple of heads, got dim ",
          dim, " and ", heads, " heads");
  register_module("c_attn", c_attn_);
  register_module("c_proj", c_proj_);
  register_module("attn_dropout", attn_dropout_);
  register_module("resid_dropout", resid_dropout_);
}

Tensor CausalSelfAttention::forward(const Tensor& x) const {
  const TraceRange range("attention");
  require(x.rank() == 3, "attention", "x must be [batch, time, dim], got ", x.shape());
  const Tensor qkv = c_attn_.forward(x);
  const Tensor y =
      scaled_dot_product_attention_qkv(qkv, static_cast<int>(heads_),
                                       {.causal = true,
                                        .dropout = is_training() ? attn_dropout_.p() : 0,
                                        .generator = &attn_dropout_.generator()});
  return resid_dropout_.forward(c_proj_.forward(y));
}

FeedForward::FeedForward(int64_t dim, double dropout, Generator& generator, TensorOptions options)
    : c_fc_(dim, 4 * dim, generator, Bias::kYes, options),
      c_proj_(4 * dim, dim, generator, Bias::kYes, options),
      dropout_(dropout, generator) {
  register_module("c_fc", c_fc_);
  register_module("c_proj", c_proj_);
  register_module("dropout", dropout_);
}

Tensor FeedForward::forward(const Tensor& x) const {
  const TraceRange range("feed_forward");
  return dropout_.forward(
      feed_forward(x, c_fc_.weight(), c_fc_.bias(), c_proj_.weight(), c_proj_.bias()));
}

}  // namespace trireme
