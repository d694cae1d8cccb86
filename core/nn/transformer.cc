#include "core/nn/transformer.h"

#include <cmath>

#include "core/base/trace_range.h"

namespace trireme {
namespace {

using AnyNorm = std::variant<LayerNorm, RMSNorm>;

AnyNorm norm_of(NormKind kind, int64_t features, double eps, Bias bias, TensorOptions options) {
  if (kind == NormKind::kRmsNorm) {
    return AnyNorm(std::in_place_type<RMSNorm>, features, eps, options);
  }
  return AnyNorm(std::in_place_type<LayerNorm>, features, eps, options, bias);
}

SelfAttentionConfig checked(SelfAttentionConfig c) {
  require(c.heads > 0 && c.dim % c.heads == 0, "attention",
          "dim must be a multiple of heads, got dim ", c.dim, " and ", c.heads, " heads");
  require(c.kv_heads >= 0 && (c.kv_heads == 0 || c.heads % c.kv_heads == 0), "attention",
          "kv_heads must divide heads, got ", c.kv_heads, " and ", c.heads);
  require(!c.rope_theta || c.dim / c.heads % 2 == 0, "attention",
          "rotary positions need an even width of a head, got ", c.dim / c.heads, ": dim ", c.dim,
          " over ", c.heads, " heads");
  require(!c.rope_theta || (*c.rope_theta > 0 && std::isfinite(*c.rope_theta)), "attention",
          "rope_theta must be positive and finite, got ", c.rope_theta.value_or(0));
  if (c.kv_heads == 0) c.kv_heads = c.heads;
  return c;
}

int64_t packed_width(const SelfAttentionConfig& c) {
  return (c.heads + 2 * c.kv_heads) * (c.dim / c.heads);
}

}  // namespace

BlockNorm::BlockNorm(NormKind kind, int64_t features, double eps, Bias bias, TensorOptions options)
    : norm_(norm_of(kind, features, eps, bias, options)) {}

Module& BlockNorm::module() {
  return std::visit([](auto& norm) -> Module& { return norm; }, norm_);
}

Tensor BlockNorm::forward(const Tensor& x) const {
  return std::visit([&](const auto& norm) { return norm.forward(x); }, norm_);
}

NormalisedSum BlockNorm::forward(const Tensor& x, const Tensor& residual) const {
  return std::visit([&](const auto& norm) { return norm.forward(x, residual); }, norm_);
}

CausalSelfAttention::CausalSelfAttention(const SelfAttentionConfig& config, Generator& generator,
                                         TensorOptions options)
    : heads_(checked(config).heads),
      kv_heads_(checked(config).kv_heads),
      rope_theta_(config.rope_theta),
      c_attn_(config.dim, packed_width(checked(config)), generator, config.bias, options),
      c_proj_(config.dim, config.dim, generator, config.bias, options),
      attn_dropout_(config.dropout, generator),
      resid_dropout_(config.dropout, generator) {
  register_module("c_attn", c_attn_);
  register_module("c_proj", c_proj_);
  register_module("attn_dropout", attn_dropout_);
  register_module("resid_dropout", resid_dropout_);
}

Tensor CausalSelfAttention::forward(const Tensor& x) const {
  const TraceRange range("attention");
  require(x.rank() == 3, "attention", "x must be [batch, time, dim], got ", x.shape());
  Tensor qkv = c_attn_.forward(x);
  if (rope_theta_) {
    const int64_t all = heads_ + 2 * kv_heads_;
    const Shape by_head{qkv.size(0), qkv.size(1), all, qkv.size(2) / all};
    qkv = reshape(rotary_embedding(reshape(qkv, by_head),
                                   {.theta = *rope_theta_, .rotated = heads_ + kv_heads_}),
                  qkv.shape());
  }
  const Tensor y =
      scaled_dot_product_attention_qkv(qkv, static_cast<int>(heads_),
                                       {.causal = true,
                                        .dropout = is_training() ? attn_dropout_.p() : 0,
                                        .generator = &attn_dropout_.generator()},
                                       static_cast<int>(kv_heads_));
  return resid_dropout_.forward(c_proj_.forward(y));
}

int64_t FeedForwardConfig::hidden_width() const {
  constexpr int64_t kMultiple = 64;
  if (hidden > 0) return hidden;
  if (kind == FeedForwardKind::kGelu) return 4 * dim;
  return ((8 * dim + 2) / 3 + kMultiple - 1) / kMultiple * kMultiple;
}

FeedForward::FeedForward(const FeedForwardConfig& config, Generator& generator,
                         TensorOptions options)
    : c_gate_(config.kind == FeedForwardKind::kSwiGlu
                  ? std::make_unique<Linear>(config.dim, config.hidden_width(), generator,
                                             config.bias, options)
                  : nullptr),
      c_fc_(config.dim, config.hidden_width(), generator, config.bias, options),
      c_proj_(config.hidden_width(), config.dim, generator, config.bias, options),
      dropout_(config.dropout, generator) {
  if (c_gate_) register_module("c_gate", *c_gate_);
  register_module("c_fc", c_fc_);
  register_module("c_proj", c_proj_);
  register_module("dropout", dropout_);
}

Tensor FeedForward::transformed(const Tensor& x) const {
  if (c_gate_) return c_proj_.forward(swiglu(c_gate_->forward(x), c_fc_.forward(x)));
  if (!c_fc_.bias()) return c_proj_.forward(gelu(c_fc_.forward(x), Gelu::kTanh));
  return feed_forward(x, c_fc_.weight(), c_fc_.bias(), c_proj_.weight(), c_proj_.bias());
}

Tensor FeedForward::forward(const Tensor& x) const {
  const TraceRange range("feed_forward");
  return dropout_.forward(transformed(x));
}

}  // namespace trireme
