// The parts of a transformer's block, with GPT-2's parameter names: norm, attention, feed-forward
// layer. Each takes options, of which Llama's blocks are one choice.

#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "core/nn/layers.h"

namespace trireme {

enum class NormKind { kLayerNorm, kRmsNorm };

/// LayerNorm or RMSNorm, which has no bias. Registered as either would be.
class BlockNorm {
 public:
  BlockNorm(NormKind kind, int64_t features, double eps, Bias bias, TensorOptions options = {});
  Module& module();
  Tensor forward(const Tensor& x) const;
  /// x + residual, and that normalised.
  NormalisedSum forward(const Tensor& x, const Tensor& residual) const;

 private:
  std::variant<LayerNorm, RMSNorm> norm_;
};

struct SelfAttentionConfig {
  int64_t dim = 0;
  int64_t heads = 0;     // of queries; divide dim
  int64_t kv_heads = 0;  // of keys and values; divide heads; 0: as many
  double dropout = 0;
  Bias bias = Bias::kYes;
  std::optional<double> rope_theta = {};  // set: rotary_embedding of queries and keys
};

/// Causal multi-head self-attention: x [batch, time, dim] -> [batch, time, dim]. c_attn makes
/// queries, keys and values in one projection, weight [dim, (heads + 2 kv_heads) dim / heads]. As
/// in GPT-2, dropout acts on the attention weights and on the result of c_proj. For memory see
/// scaled_dot_product_attention.
class CausalSelfAttention : public Module {
 public:
  CausalSelfAttention(const SelfAttentionConfig& config, Generator& generator,
                      TensorOptions options = {});
  Tensor forward(const Tensor& x) const;
  const Linear& projection() const { return c_proj_; }

 private:
  int64_t heads_, kv_heads_;
  std::optional<double> rope_theta_;
  Linear c_attn_, c_proj_;
  Dropout attn_dropout_, resid_dropout_;
};

enum class FeedForwardKind { kGelu, kSwiGlu };

struct FeedForwardConfig {
  int64_t dim = 0;
  int64_t hidden = 0;  // width inside; 0: hidden_width()
  double dropout = 0;
  Bias bias = Bias::kYes;
  FeedForwardKind kind = FeedForwardKind::kGelu;

  /// `hidden`, or what 0 stands for: 4 dim. Of kSwiGlu, which has three matrices in place of two,
  /// 8/3 dim rounded up to a multiple of 64, so that there are about as many parameters.
  int64_t hidden_width() const;
};

/// x [.., dim] -> c_fc [.., hidden] -> gelu (tanh form) -> c_proj [.., dim] -> dropout. With
/// kSwiGlu, c_proj reads silu(c_gate(x)) c_fc(x).
class FeedForward : public Module {
 public:
  FeedForward(const FeedForwardConfig& config, Generator& generator, TensorOptions options = {});
  Tensor forward(const Tensor& x) const;
  const Linear& projection() const { return c_proj_; }

 private:
  Tensor transformed(const Tensor& x) const;

  std::unique_ptr<Linear> c_gate_;  // of kSwiGlu
  Linear c_fc_, c_proj_;
  Dropout dropout_;
};

}  // namespace trireme
