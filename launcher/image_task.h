// What every image classifier of trireme-train shares: data, loss and accuracy. A task adds its
// model.

#pragma once

#include <string>

#include "core/data/image_files.h"
#include "launcher/training_task.h"

namespace trireme {

class ImageTask : public TrainingTask {
 public:
  std::string description() const override;
  std::shared_ptr<const Dataset> training_data() const override { return images_.train; }
  std::shared_ptr<const Dataset> validation_data() const override { return images_.test; }
  std::shared_ptr<const Sampler> training_sampler(int64_t global_batch, uint64_t seed,
                                                  Shard shard) const override;
  Tensor loss(const Batch& batch) override;
  Evaluation evaluate(const Batch& batch) override;
  bool is_classifier() const override { return true; }
  std::string augmentation() const override { return images_.changes; }
  std::string sample() override { return ""; }

 protected:
  /// Reads options.data; DataError names the flag. The seed of `images` is that of the options.
  ImageTask(const TrainOptions& options, ImageOptions images);
  /// Takes --init-from, once the model exists.
  void load_initial_weights(const TrainOptions& options);

  /// images [batch, rows, cols, channels] -> logits [batch, classes].
  virtual Tensor forward(const Tensor& images) const = 0;
  virtual std::string model_description() const = 0;

  ImageSplit images_;
  const DType dtype_;    // of the model's parameters
  Generator generator_;  // of the model's initial weights

 private:
  std::string data_;
};

}  // namespace trireme
