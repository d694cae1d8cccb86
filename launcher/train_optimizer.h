// From the flags of trireme-train to its optimizer and the course of its learning rate.

#pragma once

#include <cstdint>
#include <memory>

#include "core/checkpoint/state_values.h"
#include "core/optim/optimizer.h"
#include "core/optim/schedule.h"
#include "launcher/train_options.h"

namespace trireme {

/// Weight decay is for matrices only. Muon steps the matrices of hidden layers, AdamW the rest:
/// embeddings, the output layer, biases and norms.
std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& options, const StateDict& parameters);

class TrainSchedule {
 public:
  /// `options` must outlive this.
  explicit TrainSchedule(const TrainOptions& options);

  /// The learning rate of a step, from 0.
  double at(int64_t step) const;
  /// Tells the loss of a validation after `step` steps; a second one there counts no more, so that
  /// a resumed run may validate again. Only plateau listens.
  void validated(int64_t step, double loss);

  /// What it has learnt from validations, in a checkpoint.
  void save(StateValues& state) const;
  void restore(const StateValues& state);

 private:
  const TrainOptions& options_;
  PlateauSchedule plateau_;
  int64_t last_validation_ = -1;
};

}  // namespace trireme
