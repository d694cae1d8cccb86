// What the tasks on text share: the data, its order, validation and the sample at the end.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/data/token_files.h"
#include "core/data/token_windows.h"
#include "core/models/sampling.h"
#include "launcher/training_task.h"

namespace trireme {

class TextTask : public TrainingTask {
 public:
  std::shared_ptr<const Dataset> training_data() const override { return train_; }
  std::shared_ptr<const Dataset> validation_data() const override { return validation_; }
  std::shared_ptr<const Sampler> training_sampler(int64_t global_batch, uint64_t seed,
                                                  Shard shard) const override;
  std::string augmentation() const override;
  Evaluation evaluate(const Batch& batch) override;
  bool is_classifier() const override { return false; }
  std::string sample() override;

 protected:
  /// Windows of `context` tokens.
  TextTask(const TextOptions& text, int64_t context, int64_t seed, const TokenSplit& tokens);

  /// The model's own part: prompt and continuation.
  virtual std::vector<int64_t> generate(const std::vector<int64_t>& prompt, int64_t count,
                                        const Sampling& sampling, Generator& generator) = 0;

  Generator& generator() { return generator_; }
  /// "; data NAME, .. tokens ..", and what cannot be done with it: the end of a description.
  std::string about_data() const;

 private:
  // Bytes are text; the words behind other vocabularies are not known here.
  bool can_sample() const { return vocab_size_ == kByteVocab; }

  TextOptions text_;
  int64_t context_, vocab_size_;
  std::string source_;
  Generator generator_;
  std::shared_ptr<const TokenWindows> train_, validation_;
};

/// The tokens that --data names. Throws InvalidArgument for options, IoError and DataError for
/// data.
TokenSplit text_of(const char* task, const TrainOptions& options, const TextOptions& text);

}  // namespace trireme
