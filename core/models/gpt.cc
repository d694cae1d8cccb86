#include "core/models/gpt.h"

#include <algorithm>
#include <cmath>

#include "core/autograd/checkpointing.h"
#include "core/autograd/no_grad.h"
#include "core/autograd/saved_tensor_hooks.h"
#include "core/base/trace_range.h"
#include "core/nn/init.h"
#include "core/tensor/copy.h"

namespace trireme {
namespace {

constexpr double kDeviation = 0.02;
constexpr double kGpt2Dim = 768;  // the width that 0.02 belongs to

GptConfig checked(const GptConfig& c) {
  require(c.vocab_size > 0 && c.context > 0 && c.layers > 0 && c.heads > 0 && c.dim > 0, "gpt",
          "vocabulary, context, layers, heads and dim must be positive, got ", c.vocab_size, ", ",
          c.context, ", ", c.layers, ", ", c.heads, ", ", c.dim);
  require(c.vocab_multiple >= 1, "gpt", "vocab_multiple must be at least 1, got ",
          c.vocab_multiple);
  require(c.hidden >= 0, "gpt", "hidden must not be negative, got ", c.hidden);
  require(c.norm_eps > 0 && std::isfinite(c.norm_eps), "gpt",
          "norm_eps must be positive and finite, got ", c.norm_eps);
  require(c.rope_theta > 0 && std::isfinite(c.rope_theta), "gpt",
          "rope_theta must be positive and finite, got ", c.rope_theta);
  return c;
}

SelfAttentionConfig attention_of(const GptConfig& c) {
  return {.dim = c.dim,
          .heads = c.heads,
          .kv_heads = c.kv_heads,
          .dropout = c.dropout,
          .bias = c.bias,
          .rope_theta =
              c.position == PositionKind::kRotary ? std::optional(c.rope_theta) : std::nullopt};
}

FeedForwardConfig feed_forward_of(const GptConfig& c) {
  return {.dim = c.dim,
          .hidden = c.hidden,
          .dropout = c.dropout,
          .bias = c.bias,
          .kind = c.feed_forward};
}

BlockNorm norm_of(const GptConfig& c, TensorOptions options) {
  return {c.norm, c.dim, c.norm_eps, c.bias, options};
}

}  // namespace

int64_t GptConfig::vocab_rows() const {
  return (vocab_size + vocab_multiple - 1) / vocab_multiple * vocab_multiple;
}

GptConfig gpt2_config(std::string_view name) {
  struct Size {
    std::string_view name;
    int64_t layers, heads, dim;
  };
  constexpr Size kSizes[] = {{"gpt2", 12, 12, 768},
                             {"gpt2-medium", 24, 16, 1024},
                             {"gpt2-large", 36, 20, 1280},
                             {"gpt2-xl", 48, 25, 1600}};
  for (const Size& s : kSizes) {
    if (s.name != name) continue;
    return {
        .vocab_size = 50257, .context = 1024, .layers = s.layers, .heads = s.heads, .dim = s.dim};
  }
  fail("gpt2_config", "the size must be gpt2, gpt2-medium, gpt2-large or gpt2-xl, got '", name,
       "'");
}

GptConfig llama_shaped(GptConfig config) {
  config.norm = NormKind::kRmsNorm;
  config.feed_forward = FeedForwardKind::kSwiGlu;
  config.position = PositionKind::kRotary;
  config.bias = Bias::kNo;
  config.is_head_tied = false;
  return config;
}

int64_t num_parameters(const GptConfig& config) {
  const GptConfig c = checked(config);
  const int64_t bias = c.bias == Bias::kYes ? 1 : 0;
  const int64_t norm = c.norm == NormKind::kLayerNorm ? (1 + bias) * c.dim : c.dim;
  const int64_t kv_heads = c.kv_heads > 0 ? c.kv_heads : c.heads;
  const int64_t packed = c.dim + 2 * kv_heads * (c.dim / c.heads);
  const int64_t attention = (c.dim + bias) * packed + (c.dim + bias) * c.dim;
  const int64_t hidden = feed_forward_of(c).hidden_width();
  const int64_t inward = c.feed_forward == FeedForwardKind::kSwiGlu ? 2 : 1;
  const int64_t feed_forward = inward * (c.dim + bias) * hidden + (hidden + bias) * c.dim;
  const int64_t tables = c.vocab_rows() * (c.is_head_tied ? 1 : 2) +
                         (c.position == PositionKind::kLearned ? c.context : 0);
  return tables * c.dim + c.layers * (2 * norm + attention + feed_forward) + norm;
}

Gpt::Block::Block(const GptConfig& config, Generator& generator, TensorOptions options)
    : ln_1(norm_of(config, options)),
      attn(attention_of(config), generator, options),
      ln_2(norm_of(config, options)),
      mlp(feed_forward_of(config), generator, options) {
  register_module("ln_1", ln_1.module());
  register_module("attn", attn);
  register_module("ln_2", ln_2.module());
  register_module("mlp", mlp);
}

NormalisedSum Gpt::Block::forward(const NormalisedSum& x, const BlockNorm& next) const {
  const TraceRange range("block");
  const NormalisedSum h = ln_2.forward(x.sum, attn.forward(x.y));
  return next.forward(h.sum, mlp.forward(h.y));
}

NormalisedSum Gpt::Block::forward_recomputed(const NormalisedSum& x, const BlockNorm& next) const {
  // A region keeps its inputs. The second one is the norm of the first, and is made from it again.
  const SavedTensorHooks norm_from_sum([&](const Tensor& input) -> SavedTensorHooks::Unpack {
    if (input.raw_data() != x.y.raw_data()) return [input] { return input; };
    // Under Autocast the fused norm rounds to 16 bits, which a norm alone does not.
    return [this, sum = x.sum.detach(), dtype = input.dtype()] {
      return cast(ln_1.forward(sum), dtype);
    };
  });
  const auto region = [this, &next](const std::vector<Tensor>& in) {
    const NormalisedSum result = forward({in[0], in[1]}, next);
    return std::vector<Tensor>{result.sum, result.y};
  };
  const std::vector<Tensor> results = checkpoint(region, {x.sum, x.y});
  return {results[0], results[1]};
}

Gpt::Gpt(const GptConfig& config, Generator& generator, TensorOptions options)
    : config_(checked(config)),
      wte_(config.vocab_rows(), config.dim, generator, options),
      wpe_(config.position == PositionKind::kLearned
               ? std::make_unique<Embedding>(config.context, config.dim, generator, options)
               : nullptr),
      dropout_(config.dropout, generator),
      ln_f_(norm_of(config, options)) {
  for (int64_t i = 0; i < config.layers; ++i) {
    blocks_.add(config, generator, options);
  }
  register_module("wte", wte_);
  if (wpe_) register_module("wpe", *wpe_);
  register_module("dropout", dropout_);
  register_module("h", blocks_);
  register_module("ln_f", ln_f_.module());
  if (!config.is_head_tied) {
    lm_head_ =
        std::make_unique<Linear>(config.dim, config.vocab_rows(), generator, Bias::kNo, options);
    register_module("lm_head", *lm_head_);
  }
  initialise(generator);
}

void Gpt::initialise(Generator& generator) {
  // A sum over dim inputs grows with sqrt(dim): this keeps its size that of GPT-2 at any width.
  const double deviation = kDeviation * std::sqrt(kGpt2Dim / static_cast<double>(config_.dim));
  const auto is_embedding = [](const std::string& name) { return name.starts_with("w"); };
  for (const auto& [name, p] : named_parameters()) {
    if (p.rank() == 2) init::normal(p, 0, is_embedding(name) ? kDeviation : deviation, generator);
  }
  // Each block adds twice to the residual stream; this keeps its variance at the end the same for
  // any depth.
  const double projection = deviation / std::sqrt(2.0 * static_cast<double>(config_.layers));
  for (size_t i = 0; i < blocks_.size(); ++i) {
    init::normal(blocks_[i].attn.projection().weight(), 0, projection, generator);
    init::normal(blocks_[i].mlp.projection().weight(), 0, projection, generator);
  }
}

Tensor Gpt::hidden(const Tensor& ids) const {
  require(ids.rank() == 2, "gpt", "ids must be [batch, time], got ", ids.shape());
  const int64_t time = ids.size(1);
  require(time >= 1 && time <= config_.context, "gpt", "time must be in [1, ", config_.context,
          "], the context, got ", time);
  // Made first, so that its gradient is complete last: that of wte is the larger message.
  const Tensor positions = wpe_ ? slice(wpe_->weight(), 0, 0, time) : Tensor();
  Tensor tokens = wte_.forward(ids);
  if (positions) tokens = tokens + positions;
  const Tensor embedded = dropout_.forward(tokens);
  NormalisedSum x{embedded, blocks_[0].ln_1.forward(embedded)};
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const bool is_last = i + 1 == blocks_.size();
    const BlockNorm& next = is_last ? ln_f_ : blocks_[i + 1].ln_1;
    x = config_.recompute_blocks ? blocks_[i].forward_recomputed(x, next)
                                 : blocks_[i].forward(x, next);
  }
  return x.y;
}

Tensor Gpt::padded_logits(const Tensor& x) const {
  const TraceRange range("head");
  return lm_head_ ? lm_head_->forward(x) : matmul(x, transpose(wte_.weight(), 0, 1));
}

Tensor Gpt::logits(const Tensor& x) const {
  const Tensor padded = padded_logits(x);
  return padded.size(-1) == config_.vocab_size ? padded : slice(padded, -1, 0, config_.vocab_size);
}

Tensor Gpt::forward(const Tensor& ids) const { return logits(hidden(ids)); }

Tensor Gpt::loss(const Tensor& ids, const Tensor& targets) const {
  constexpr int64_t kNoneIgnored = -100;
  return cross_entropy_inplace(padded_logits(hidden(ids)), targets, kNoneIgnored,
                               config_.vocab_size);
}

std::vector<int64_t> Gpt::generate(const std::vector<int64_t>& prompt, int64_t count,
                                   Sampling sampling, Generator& generator) const {
  check_generation(prompt, count, sampling);
  NoGrad no_grad;
  std::vector<int64_t> tokens = prompt;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t time = std::min<int64_t>(static_cast<int64_t>(tokens.size()), config_.context);
    const std::vector<int64_t> window(tokens.end() - time, tokens.end());
    const Tensor ids = from_vector(window, {1, time}, wte_.weight().device());
    const Tensor last = slice(hidden(ids), 1, time - 1, time);
    tokens.push_back(draw_token(logits(last).to_vector<double>(), sampling, generator));
  }
  return tokens;
}

double Gpt::flops_per_token() const {
  const int64_t only_read = lm_head_ ? wte_.weight().numel() : 0;
  return 6.0 * static_cast<double>(num_parameters() - only_read) +
         6.0 * static_cast<double>(config_.layers * config_.dim * config_.context);
}

}  // namespace trireme
