#include "launcher/gpt_config.h"

#include <algorithm>

namespace trireme {
namespace {

/// Llama's files allow contexts that no training step on this trainer has unless it is asked for.
constexpr int64_t kMostUnasked = 1024;

GptConfig start_of(const GptOptions& o, const std::optional<GptConfig>& from_file,
                   int64_t vocab_size) {
  if (from_file) {
    require(o.arch != "gpt2", "gpt", "--arch gpt2 contradicts --init-from, which is a Llama");
    require(o.size.empty(), "gpt", "--size ", o.size,
            " contradicts --init-from, whose config.json says the size");
    require(from_file->vocab_size == vocab_size, "gpt", "the data has a vocabulary of ", vocab_size,
            " but --init-from one of ", from_file->vocab_size,
            "; if the data was made with its tokens, "
            "give --vocab ",
            from_file->vocab_size);
    GptConfig config = *from_file;
    config.context = std::min(config.context, kMostUnasked);
    return config;
  }
  const GptConfig config = o.size.empty()
                               ? GptConfig{.context = 64, .layers = 4, .heads = 4, .dim = 128}
                               : gpt2_config(o.size);
  return o.arch == "llama" ? llama_shaped(config) : config;
}

template <typename T>
void choose(const std::string& given, const char* first, T of_first, T of_other, T* to) {
  if (!given.empty()) *to = given == first ? of_first : of_other;
}

}  // namespace

GptConfig gpt_config_of(const GptOptions& o, const std::optional<GptConfig>& from_file,
                        int64_t vocab_size) {
  GptConfig c = start_of(o, from_file, vocab_size);
  if (o.context > 0) c.context = o.context;
  if (o.layers > 0) c.layers = o.layers;
  if (o.heads > 0) c.heads = o.heads;
  if (o.dim > 0) c.dim = o.dim;
  if (o.kv_heads > 0) c.kv_heads = o.kv_heads;
  if (o.intermediate > 0) c.hidden = o.intermediate;
  if (o.norm_eps > 0) c.norm_eps = o.norm_eps;
  if (o.rope_theta > 0) c.rope_theta = o.rope_theta;
  choose(o.norm, "layer", NormKind::kLayerNorm, NormKind::kRmsNorm, &c.norm);
  choose(o.activation, "gelu", FeedForwardKind::kGelu, FeedForwardKind::kSwiGlu, &c.feed_forward);
  choose(o.position, "learned", PositionKind::kLearned, PositionKind::kRotary, &c.position);
  require(o.rope_theta == 0 || c.position == PositionKind::kRotary, "gpt", "--rope-theta ",
          o.rope_theta, " is read with rotary positions only; add --position rotary");
  choose(o.bias, "yes", Bias::kYes, Bias::kNo, &c.bias);
  choose(o.head, "tied", true, false, &c.is_head_tied);
  c.dropout = o.dropout;
  c.vocab_size = vocab_size;
  c.vocab_multiple = o.vocab_multiple;
  c.recompute_blocks = o.recompute_blocks;
  return c;
}

std::string shape_text(const GptConfig& c) {
  const GptConfig gpt2;
  std::string text = concat(c.layers, " layers, ", c.heads, " heads, ", c.dim, " wide");
  if (c.kv_heads > 0 && c.kv_heads != c.heads) {
    text += concat(", ", c.kv_heads, " heads of keys and values");
  }
  if (c.norm == NormKind::kRmsNorm) text += ", rms norm";
  if (c.norm_eps != gpt2.norm_eps) text += concat(", norm epsilon ", c.norm_eps);
  if (c.position == PositionKind::kRotary) text += concat(", rotary base ", c.rope_theta);
  const FeedForwardConfig feed_forward{.dim = c.dim, .hidden = c.hidden, .kind = c.feed_forward};
  if (c.feed_forward == FeedForwardKind::kSwiGlu) {
    text += concat(", swiglu ", feed_forward.hidden_width(), " wide");
  } else if (c.hidden > 0) {
    text += concat(", gelu ", c.hidden, " wide");
  }
  if (c.bias == Bias::kNo) text += ", no biases";
  if (!c.is_head_tied) text += ", untied head";
  return text;
}

}  // namespace trireme
