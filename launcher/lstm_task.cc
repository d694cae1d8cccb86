// trireme-train lstm: an LSTM language model on text bytes or token files.

#include "core/checkpoint/load_state.h"
#include "core/checkpoint/safetensors.h"
#include "core/models/lstm.h"
#include "launcher/named_input.h"
#include "launcher/precision.h"
#include "launcher/text_task.h"

namespace trireme {
namespace {

class LstmTask final : public TextTask {
 public:
  LstmTask(const TrainOptions& options, const LstmOptions& lstm, const TokenSplit& tokens)
      : TextTask(lstm.text, lstm.context, options.seed, tokens),
        model_({.vocab_size = tokens.train.vocab_size(),
                .layers = lstm.layers,
                .dim = lstm.dim,
                .dropout = lstm.dropout},
               generator(), {parse_precision(options.precision).parameters}),
        context_(lstm.context) {
    if (options.init_from.empty()) return;
    read_named_input("--init-from", [&] {
      load_state(model_.state_dict(), load_safetensors(options.init_from).tensors,
                 Strictness::kExact, options.init_from);
    });
  }

  const char* name() const override { return "lstm"; }
  std::string description() const override {
    const LstmConfig& c = model_.config();
    return concat("lstm with ", model_.num_parameters(), " parameters: ", c.layers, " layers, ",
                  c.dim, " wide, context ", context_, ", vocabulary ", c.vocab_size, about_data());
  }
  Module& model() override { return model_; }
  Tensor loss(const Batch& batch) override { return model_.loss(batch.inputs, batch.targets); }

 private:
  std::vector<int64_t> generate(const std::vector<int64_t>& prompt, int64_t count,
                                const Sampling& sampling, Generator& generator) override {
    return model_.generate(prompt, count, sampling, generator);
  }

  LstmLanguageModel model_;
  int64_t context_;
};

}  // namespace

std::unique_ptr<TrainingTask> make_lstm_task(const TrainOptions& options, const LstmOptions& lstm) {
  return std::make_unique<LstmTask>(options, lstm, text_of("lstm", options, lstm.text));
}

}  // namespace trireme
