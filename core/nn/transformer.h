// The two halves of a GPT-2 block, with GPT-2's parameter names.

#pragma once

#include "core/nn/layers.h"

namespace trireme {

/// Causal multi-head self-attention: x [batch, time, dim] -> [batch, time, dim]. c_attn makes
/// queries, keys and values in one projection. As in GPT-2, dropout acts on the attention weights
/// and on the result of c_proj. For memory see scaled_dot_product_attention.
class CausalSelfAttention : public Module {
 public:
  CausalSelfAttention(int64_t dim, int64_t heads, double dropout, Generator& generator,
                      TensorOptions options = {});
  Tensor forward(const Tensor& x) const;
  const Linear& projection() const { return c_proj_; }

 private:
  int64_t heads_;
  Linear c_attn_, c_proj_;
  Dropout attn_dropout_, resid_dropout_;
};

/// x [.., dim] -> c_fc [.., 4 dim] -> gelu (tanh form) -> c_proj [.., dim] -> dropout.
class FeedForward : public Module {
 public:
  FeedForward(int64_t dim, double dropout, Generator& generator, TensorOptions options = {});
  Tensor forward(const Tensor& x) const;
  const Linear& projection() const { return c_proj_; }

 private:
  Linear c_fc_, c_proj_;
  Dropout dropout_;
};

}  // namespace trireme
