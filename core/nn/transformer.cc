#include "core/nn/transformer.h"

#include <cmath>
#include <limits>

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
  require(x.rank() == 3, "attention", "x must be [batch, time, dim], got ", x.shape());
  const Tensor qkv = c_attn_.forward(x);
  const bool drops = is_training() && attn_dropout_.p() > 0;
  const Tensor y =
      drops ? attend_with_dropout(qkv) : causal_attention_qkv(qkv, static_cast<int>(heads_));
  return resid_dropout_.forward(c_proj_.forward(y));
}

Tensor CausalSelfAttention::attend_with_dropout(const Tensor& qkv) const {
  const int64_t batch = qkv.size(0), time = qkv.size(1), dim = qkv.size(2) / 3;
  const int64_t head_dim = dim / heads_;
  const auto part = [&](int64_t i) {  // [batch, heads, time, head_dim]
    const Tensor packed = slice(qkv, 2, i * dim, (i + 1) * dim);
    return transpose(reshape(packed, {batch, time, heads_, head_dim}), 1, 2);
  };
  const Tensor q = part(0) * (1.0 / std::sqrt(static_cast<double>(head_dim)));
  const Tensor scores = matmul(q, transpose(part(1), 2, 3));

  const Tensor position = arange(time, {DType::kI64, qkv.device()});
  const Tensor is_future = greater(unsqueeze(position, 0), unsqueeze(position, 1));
  const Tensor never =
      full({}, -std::numeric_limits<double>::infinity(), {qkv.dtype(), qkv.device()});
  const Tensor weights = softmax(where(is_future, never, scores));
  const Tensor y = matmul(attn_dropout_.forward(weights), part(2));
  return reshape(transpose(y, 1, 2), {batch, time, dim});
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
  return dropout_.forward(c_proj_.forward(gelu(c_fc_.forward(x), Gelu::kTanh)));
}

}  // namespace trireme
