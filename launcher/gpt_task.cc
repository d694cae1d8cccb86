// trireme-train gpt: a GPT on text bytes or token files.

#include "core/checkpoint/load_state.h"
#include "core/checkpoint/safetensors.h"
#include "core/models/gpt.h"
#include "core/models/gpt_checkpoint.h"
#include "launcher/named_input.h"
#include "launcher/precision.h"
#include "launcher/text_task.h"

namespace trireme {
namespace {

GptConfig config_for(const GptOptions& o, int64_t vocab_size) {
  GptConfig config = o.size.empty() ? GptConfig{.context = 64, .layers = 4, .heads = 4, .dim = 128}
                                    : gpt2_config(o.size);
  if (o.context > 0) config.context = o.context;
  if (o.layers > 0) config.layers = o.layers;
  if (o.heads > 0) config.heads = o.heads;
  if (o.dim > 0) config.dim = o.dim;
  config.dropout = o.dropout;
  config.vocab_size = vocab_size;
  config.vocab_multiple = o.vocab_multiple;
  config.recompute_blocks = o.recompute_blocks;
  return config;
}

class GptTask final : public TextTask {
 public:
  GptTask(const TrainOptions& options, const GptOptions& gpt, const GptConfig& config,
          const TokenSplit& tokens)
      : TextTask(gpt.text, config.context, options.seed, tokens),
        model_(config, generator(), {parse_precision(options.precision).parameters}) {
    if (!options.init_from.empty()) {
      read_named_input("--init-from", [&] {
        load_state(model_.state_dict(),
                   gpt2_weights(load_safetensors(options.init_from).tensors, config.vocab_rows()),
                   Strictness::kExact, options.init_from);
      });
    }
  }

  const char* name() const override { return "gpt"; }
  std::string description() const override {
    const GptConfig& c = model_.config();
    return concat("gpt with ", model_.num_parameters(), " parameters: ", c.layers, " layers, ",
                  c.heads, " heads, ", c.dim, " wide, context ", c.context, ", vocabulary ",
                  c.vocab_size, about_data());
  }
  Module& model() override { return model_; }
  Tensor loss(const Batch& batch) override { return model_.loss(batch.inputs, batch.targets); }

 private:
  std::vector<int64_t> generate(const std::vector<int64_t>& prompt, int64_t count,
                                const Sampling& sampling, Generator& generator) override {
    return model_.generate(prompt, count, sampling, generator);
  }

  Gpt model_;
};

}  // namespace

std::unique_ptr<TrainingTask> make_gpt_task(const TrainOptions& options, const GptOptions& gpt) {
  const TokenSplit tokens = text_of("gpt", options, gpt.text);
  return std::make_unique<GptTask>(options, gpt, config_for(gpt, tokens.train.vocab_size()),
                                   tokens);
}

}  // namespace trireme
