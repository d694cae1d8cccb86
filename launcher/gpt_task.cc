// trireme-train gpt: a GPT on text bytes or token files.

#include <filesystem>

#include "core/checkpoint/load_state.h"
#include "core/checkpoint/safetensors_index.h"
#include "core/models/gpt_checkpoint.h"
#include "core/models/llama_checkpoint.h"
#include "launcher/gpt_config.h"
#include "launcher/named_input.h"
#include "launcher/precision.h"
#include "launcher/text_task.h"

namespace trireme {
namespace {

/// What --init-from names: tensors, and for those of a Llama the config beside them.
struct InitialWeights {
  StateDict tensors;
  std::optional<GptConfig> llama;
};

InitialWeights read_weights(const std::string& path) {
  if (path.empty()) return {};
  return read_named_input("--init-from", [&] {
    InitialWeights weights{load_weights(path), {}};
    if (is_llama_checkpoint(weights.tensors)) {
      weights.llama =
          llama_config((std::filesystem::path(path).parent_path() / "config.json").string());
    }
    return weights;
  });
}

/// Under Gpt's names. A head that is not tied is no GPT-2's, so the file is one of ours.
StateDict named_for(const InitialWeights& weights, const GptConfig& config) {
  if (weights.llama) return llama_weights(weights.tensors, config);
  return config.is_head_tied ? gpt2_weights(weights.tensors, config.vocab_rows()) : weights.tensors;
}

class GptTask final : public TextTask {
 public:
  GptTask(const TrainOptions& options, const GptOptions& gpt, const GptConfig& config,
          const TokenSplit& tokens, const InitialWeights& weights)
      : TextTask(gpt.text, config.context, options.seed, tokens),
        model_(config, generator(), {parse_precision(options.precision).parameters}) {
    if (options.init_from.empty()) return;
    read_named_input("--init-from", [&] {
      load_state(model_.state_dict(), named_for(weights, config), Strictness::kExact,
                 options.init_from);
    });
  }

  const char* name() const override { return "gpt"; }
  std::string description() const override {
    const GptConfig& c = model_.config();
    return concat("gpt with ", model_.num_parameters(), " parameters: ", shape_text(c),
                  ", context ", c.context, ", vocabulary ", c.vocab_size, about_data());
  }
  std::string architecture() const override { return shape_text(model_.config()); }
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
  const InitialWeights weights = read_weights(options.init_from);
  return std::make_unique<GptTask>(
      options, gpt, gpt_config_of(gpt, weights.llama, tokens.train.vocab_size()), tokens, weights);
}

}  // namespace trireme
