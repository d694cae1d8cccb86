#include "launcher/text_task.h"

#include "core/autograd/no_grad.h"
#include "launcher/named_input.h"

namespace trireme {

TextTask::TextTask(const TextOptions& text, int64_t context, int64_t seed, const TokenSplit& tokens)
    : text_(text),
      context_(context),
      vocab_size_(tokens.train.vocab_size()),
      source_(concat(tokens.train.name(), ", ", tokens.train.size(), " tokens to train and ",
                     tokens.validation.size(), " to validate")),
      generator_(static_cast<uint64_t>(seed)),
      train_(std::make_shared<TokenWindows>(tokens.train, context)),
      validation_(std::make_shared<TokenWindows>(tokens.validation, context)) {}

std::shared_ptr<const Sampler> TextTask::training_sampler(int64_t global_batch, uint64_t seed,
                                                          Shard shard) const {
  if (text_.order == "sequential") {
    return std::make_shared<SequentialSampler>(train_->size(), context_, global_batch, shard);
  }
  return std::make_shared<RandomSampler>(train_->size(), global_batch, seed, shard);
}

std::string TextTask::augmentation() const {
  return text_.order == "random" ? "" : concat("--order ", text_.order);
}

TrainingTask::Evaluation TextTask::evaluate(const Batch& batch) {
  NoGrad no_grad;
  const double mean = loss(batch).item();
  return {.loss_sum = mean * static_cast<double>(batch.samples)};
}

std::string TextTask::sample() {
  if (text_.sample == 0 || !can_sample()) return "";
  model().eval();
  std::vector<int64_t> prompt;
  for (unsigned char c : text_.prompt) prompt.push_back(c);
  Generator generator(generator_.seed() + 1);
  std::string text;
  for (int64_t token :
       generate(prompt, text_.sample, {.temperature = text_.temperature}, generator)) {
    text += static_cast<char>(token);
  }
  model().train();
  return text;
}

std::string TextTask::about_data() const {
  return concat("; data ", source_,
                text_.sample > 0 && !can_sample()
                    ? "; --sample is ignored, only a vocabulary of 256 is text"
                    : "");
}

TokenSplit text_of(const char* task, const TrainOptions& options, const TextOptions& text) {
  require(text.sample == 0 || !text.prompt.empty(), task, "--prompt must not be empty");
  return read_named_input("--data", [&] { return open_tokens(options.data, text.vocab); });
}

}  // namespace trireme
