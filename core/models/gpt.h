// GPT: a decoder-only transformer as in GPT-2 (Radford et al., "Language models are unsupervised
// multitask learners", 2019) or, by options, as in Llama (Touvron et al., "LLaMA: open and
// efficient foundation language models", 2023), or between the two.
//
// Parameter names, shapes and layouts are those of Hugging Face's GPT-2 checkpoints: wte.weight,
// wpe.weight, h.N.ln_1, h.N.attn.c_attn (weight [in, out]), h.N.attn.c_proj, h.N.ln_2,
// h.N.mlp.c_fc, h.N.mlp.c_proj, ln_f. The output layer is wte transposed and has no parameter of
// its own. So a GPT-2 model.safetensors loads here (gpt_checkpoint.h), and one saved here loads
// there. What GPT-2 lacks is called h.N.mlp.c_gate and lm_head (weight [dim, vocab_rows]), whatever
// the options; llama_checkpoint.h reads Llama's own files.

#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "core/models/sampling.h"
#include "core/nn/module_list.h"
#include "core/nn/transformer.h"

namespace trireme {

/// kLearned: a table of the context's positions, added to the tokens. kRotary: queries and keys
/// turn with their position, and there is no table.
enum class PositionKind { kLearned, kRotary };

struct GptConfig {
  int64_t vocab_size = 256;  // token ids are below it
  int64_t context = 64;      // longest sequence
  int64_t layers = 4;
  int64_t heads = 4;
  int64_t dim = 128;  // a multiple of heads
  double dropout = 0;
  /// wte gets rows for vocab_size rounded up to a multiple of this: 128 makes the output layer's
  /// product faster on a GPU. The additional rows are no tokens and never learn.
  int64_t vocab_multiple = 1;
  /// Forward keeps the residual stream in front of each block, and backward runs the block again
  /// (core/autograd/checkpointing.h): about a third more arithmetic, and of all blocks but one a
  /// sixteenth of the activations (of f32; with Autocast the stream has twice the bytes of the
  /// rest). Same losses and gradients. The model must live until backward. SavedTensorHooks around
  /// it do not see what is kept.
  bool recompute_blocks = false;

  // What GPT-2 leaves no choice about. llama_config() sets all of it.
  int64_t kv_heads = 0;  // heads of keys and values; divide heads; 0: as many as heads
  int64_t hidden = 0;    // width inside a feed-forward layer; 0: FeedForwardConfig::hidden_width()
  NormKind norm = NormKind::kLayerNorm;
  double norm_eps = 1e-5;
  FeedForwardKind feed_forward = FeedForwardKind::kGelu;
  PositionKind position = PositionKind::kLearned;
  double rope_theta = 10000;  // of kRotary, see RotaryOptions
  Bias bias = Bias::kYes;     // in linear layers and layer norms
  bool is_head_tied = true;   // the output layer is wte transposed, else lm_head

  int64_t vocab_rows() const;  // of wte
};

/// The options of Llama on a config that has sizes already: RMSNorm, rotary positions, SwiGLU, no
/// biases, an output layer of its own.
GptConfig llama_shaped(GptConfig config);

/// The sizes that OpenAI published, with its vocabulary of 50257 and context of 1024: "gpt2" (124M
/// parameters), "gpt2-medium" (355M), "gpt2-large" (774M) and "gpt2-xl" (1558M), under their names
/// on Hugging Face. Throws InvalidArgument for any other name.
GptConfig gpt2_config(std::string_view name);

/// What Gpt(config).num_parameters() would be, without making it.
int64_t num_parameters(const GptConfig& config);

class Gpt : public Module {
 public:
  /// Initialised as GPT-2: embeddings normal with deviation 0.02, weights with 0.02 sqrt(768 / dim)
  /// (GPT-2's 0.02 at its width, so that narrower models do not start too small), the projections
  /// back into the residual stream with that over sqrt(2 layers), biases zero.
  Gpt(const GptConfig& config, Generator& generator, TensorOptions options = {});

  const GptConfig& config() const { return config_; }

  /// ids i64 or i32 [batch, time] -> logits [batch, time, vocab_size]. Requires time <= context.
  Tensor forward(const Tensor& ids) const;
  /// Mean cross entropy of the targets, a scalar.
  Tensor loss(const Tensor& ids, const Tensor& targets) const;

  using Sampling = trireme::Sampling;
  /// Continues `prompt` by `count` tokens and returns prompt and continuation. Conditions on the
  /// last `context` tokens. Requires a prompt of at least one token. Records no history; runs in
  /// the mode the module is in, so call eval() first. Each token costs a forward over its window.
  std::vector<int64_t> generate(const std::vector<int64_t>& prompt, int64_t count,
                                Sampling sampling, Generator& generator) const;

  /// Training FLOPs per token: 6 for each parameter (but of a token table that is not the output
  /// layer too: it is only read) and 6 layers dim context for the attention scores, of which a
  /// causal mask needs half (the rule of llm.c; without that half it would be 12, Kaplan et al.,
  /// "Scaling laws for neural language models", 2020).
  double flops_per_token() const;

 private:
  struct Block : Module {
    Block(const GptConfig& config, Generator& generator, TensorOptions options);
    /// x.sum is the residual stream, x.y the same normalised by ln_1; returns the stream behind
    /// this block, normalised by `next`: each addition and the norm behind it are one pass.
    NormalisedSum forward(const NormalisedSum& x, const BlockNorm& next) const;
    /// The same, run again in backward; x.sum is all that is kept until then.
    NormalisedSum forward_recomputed(const NormalisedSum& x, const BlockNorm& next) const;
    BlockNorm ln_1;
    CausalSelfAttention attn;
    BlockNorm ln_2;
    FeedForward mlp;
  };

  void initialise(Generator& generator);
  /// What the output layer reads: [batch, time, dim].
  Tensor hidden(const Tensor& ids) const;
  /// [batch, time, dim] -> [batch, time, vocab_rows].
  Tensor padded_logits(const Tensor& x) const;
  Tensor logits(const Tensor& x) const;

  GptConfig config_;
  Embedding wte_;
  std::unique_ptr<Embedding> wpe_;  // of kLearned
  Dropout dropout_;
  ModuleList<Block> blocks_;
  BlockNorm ln_f_;
  std::unique_ptr<Linear> lm_head_;  // of an output layer that is not tied
};

}  // namespace trireme
