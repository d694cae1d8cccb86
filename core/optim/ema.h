// ExponentialMovingAverage: smoothed weights, which often generalise better than the last ones.
//
//   ExponentialMovingAverage ema(model.state_dict(), {.decay = 0.999});
//   optimizer.step(...); ema.update();                     // in each step
//   { const auto averaged = ema.apply(); validate(); }     // the model has the averages in here
//
// Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992. Not thread-safe.

#pragma once

#include <cstdint>

#include "core/tensor/state_dict.h"

namespace trireme {

struct EmaOptions {
  double decay = 0.999;
  /// Averages over fewer steps at first: decay min(decay, (1 + n) / (10 + n)) in update n, so that
  /// the initial weights are soon forgotten.
  bool warm_up = false;
};

class ExponentialMovingAverage {
 public:
  /// Starts at the values as they are. Averages floating tensors, in f32 where they have 16 bits;
  /// others (counters) are passed over. They must be contiguous and live on; decay in [0, 1).
  ExponentialMovingAverage(const StateDict& weights, EmaOptions options = {});

  /// average = decay average + (1 - decay) weight, for all in one pass per dtype. Not in a step
  /// that is captured: call it behind each replay.
  void update();

  /// The model has the averages while this lives, and its own weights afterwards. Training in
  /// between is lost; an optimizer's masters keep their digits. One at a time.
  class Applied {
   public:
    ~Applied();
    Applied(const Applied&) = delete;
    Applied& operator=(const Applied&) = delete;

   private:
    friend class ExponentialMovingAverage;
    explicit Applied(const ExponentialMovingAverage& of);
    std::vector<std::pair<Tensor, Tensor>> own_;  // a weight, and what stood there
  };
  [[nodiscard]] Applied apply() const { return Applied(*this); }

  /// The averages by their weights' names, as to save a model of them.
  StateDict averages() const;
  /// "ema.NAME" for each, and "ema.updates", an i64 scalar on the CPU. Handles: writing into them
  /// restores it (core/checkpoint/load_state.h).
  StateDict state_dict() const;

 private:
  struct Entry {
    std::string name;
    Tensor weight, average;
  };
  EmaOptions options_;
  std::vector<Entry> entries_;
  Tensor updates_;
};

}  // namespace trireme
