// trireme-train gpt: a GPT on text bytes or token files.

#include <algorithm>

#include "core/autograd/no_grad.h"
#include "core/checkpoint/load_state.h"
#include "core/checkpoint/safetensors.h"
#include "core/data/token_files.h"
#include "core/data/token_windows.h"
#include "core/models/gpt.h"
#include "core/models/gpt_checkpoint.h"
#include "launcher/named_input.h"
#include "launcher/precision.h"
#include "launcher/training_task.h"

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
  return config;
}

class GptTask final : public TrainingTask {
 public:
  GptTask(const TrainOptions& options, const GptOptions& gpt, const GptConfig& config,
          const TokenSplit& tokens)
      : gpt_(gpt),
        source_(concat(tokens.train.name(), ", ", tokens.train.size(), " tokens to train and ",
                       tokens.validation.size(), " to validate")),
        generator_(static_cast<uint64_t>(options.seed)),
        train_(std::make_shared<TokenWindows>(tokens.train, config.context)),
        validation_(std::make_shared<TokenWindows>(tokens.validation, config.context)),
        model_(config, generator_, {parse_precision(options.precision).parameters}) {
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
                  c.vocab_size, "; data ", source_,
                  gpt_.sample > 0 && !can_sample()
                      ? "; --sample is ignored, only a vocabulary of 256 is text"
                      : "");
  }
  Module& model() override { return model_; }
  std::shared_ptr<const Dataset> training_data() const override { return train_; }
  std::shared_ptr<const Dataset> validation_data() const override { return validation_; }
  std::shared_ptr<const Sampler> training_sampler(int64_t global_batch, uint64_t seed,
                                                  Shard shard) const override {
    if (gpt_.order == "sequential") {
      return std::make_shared<SequentialSampler>(train_->size(), gpt_.context, global_batch, shard);
    }
    return std::make_shared<RandomSampler>(train_->size(), global_batch, seed, shard);
  }

  std::string augmentation() const override {
    return gpt_.order == "random" ? "" : concat("--order ", gpt_.order);
  }

  Tensor loss(const Batch& batch) override { return model_.loss(batch.inputs, batch.targets); }
  Evaluation evaluate(const Batch& batch) override {
    NoGrad no_grad;
    const double mean = model_.loss(batch.inputs, batch.targets).item();
    return {.loss_sum = mean * static_cast<double>(batch.samples)};
  }
  bool is_classifier() const override { return false; }

  std::string sample() override {
    if (gpt_.sample == 0 || !can_sample()) return "";
    model_.eval();
    std::vector<int64_t> prompt;
    for (unsigned char c : gpt_.prompt) prompt.push_back(c);
    Generator generator(generator_.seed() + 1);
    std::string text;
    for (int64_t token :
         model_.generate(prompt, gpt_.sample, {.temperature = gpt_.temperature}, generator)) {
      text += static_cast<char>(token);
    }
    model_.train();
    return text;
  }

 private:
  // Bytes are text; the words behind other vocabularies are not known here.
  bool can_sample() const { return model_.config().vocab_size == kByteVocab; }

  GptOptions gpt_;
  std::string source_;
  Generator generator_;
  std::shared_ptr<const TokenWindows> train_, validation_;
  Gpt model_;
};

}  // namespace

std::unique_ptr<TrainingTask> make_gpt_task(const TrainOptions& options, const GptOptions& gpt) {
  require(gpt.sample == 0 || !gpt.prompt.empty(), "gpt", "--prompt must not be empty");
  const TokenSplit tokens =
      read_named_input("--data", [&] { return open_tokens(options.data, gpt.vocab); });
  return std::make_unique<GptTask>(options, gpt, config_for(gpt, tokens.train.vocab_size()),
                                   tokens);
}

}  // namespace trireme
