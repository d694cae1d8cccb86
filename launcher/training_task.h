// What trireme-train trains: a model, its data, and how a batch becomes a loss. The loop around it
// (trainer.h) is the same for every task.

#pragma once

#include <memory>
#include <string>

#include "core/data/dataset.h"
#include "core/data/sampler.h"
#include "core/nn/module.h"
#include "launcher/train_options.h"

namespace trireme {

class TrainingTask {
 public:
  virtual ~TrainingTask() = default;

  virtual const char* name() const = 0;  // "gpt"
  /// One line about model and data, printed once at the start.
  virtual std::string description() const = 0;
  /// What of the model's options the shapes of its parameters do not tell, "" where they tell all:
  /// a checkpoint keeps it, and a resumed run must have the same.
  virtual std::string architecture() const { return ""; }
  virtual Module& model() = 0;

  virtual std::shared_ptr<const Dataset> training_data() const = 0;
  virtual std::shared_ptr<const Dataset> validation_data() const = 0;
  virtual std::shared_ptr<const Sampler> training_sampler(int64_t global_batch, uint64_t seed,
                                                          Shard shard) const = 0;

  /// How training samples are ordered or changed, "" for the usual way: a resumed run compares it.
  virtual std::string augmentation() const { return ""; }

  /// Mean loss over the batch's samples, a scalar with history.
  virtual Tensor loss(const Batch& batch) = 0;

  /// Sums over the batch's samples, computed without history.
  struct Evaluation {
    double loss_sum = 0;
    int64_t correct = 0;  // classifiers; elsewhere 0
  };
  virtual Evaluation evaluate(const Batch& batch) = 0;
  virtual bool is_classifier() const = 0;

  /// A generated sample of what the model has learnt, or "" where there is none to show.
  virtual std::string sample() = 0;
};

/// Builds model and data. Throws InvalidArgument for options, IoError and DataError for data.
std::unique_ptr<TrainingTask> make_gpt_task(const TrainOptions& options, const GptOptions& gpt);
std::unique_ptr<TrainingTask> make_lstm_task(const TrainOptions& options, const LstmOptions& lstm);
std::unique_ptr<TrainingTask> make_mlp_task(const TrainOptions& options, const MlpOptions& mlp);
std::unique_ptr<TrainingTask> make_resnet_task(const TrainOptions& options,
                                               const ResNetOptions& resnet);

}  // namespace trireme
