// Learning-rate schedules: functions of the step number, from 0. All but PlateauSchedule have no
// state, so a resumed run needs only its step. optimizer.set_lr(schedule.at(step)) before a step.
// schedule_chain.h joins them and gives a warm-up to those that have none of their own.

#pragma once

#include <cstdint>
#include <limits>

namespace trireme {

/// min_lr + (lr - min_lr) / 2 (1 + cos(pi progress)) from `warmup` to `steps`, after a linear rise
/// from lr / warmup to lr; min_lr afterwards. Loshchilov, Hutter, "SGDR", 2017.
struct CosineSchedule {
  double lr = 1e-3;
  double min_lr = 0;
  int64_t warmup = 0;
  int64_t steps = 1;
  double at(int64_t step) const;
};

/// The same lr throughout, after a linear rise over `warmup` steps.
struct ConstantSchedule {
  double lr = 1e-3;
  int64_t warmup = 0;
  double at(int64_t step) const;
};

/// From lr to min_lr in a straight line between `warmup` and `steps`, after a linear rise over
/// `warmup` steps; min_lr afterwards.
struct LinearSchedule {
  double lr = 1e-3;
  double min_lr = 0;
  int64_t warmup = 0;
  int64_t steps = 1;
  double at(int64_t step) const;
};

/// lr after a linear rise over `warmup` steps, then lr sqrt(warmup / (step + 1)): falls for ever,
/// so that training may go on. Without warm-up lr / sqrt(step + 1). Vaswani et al., "Attention is
/// all you need", 2017.
struct InverseSqrtSchedule {
  double lr = 1e-3;
  int64_t warmup = 0;
  double at(int64_t step) const;
};

/// Rises from lr / rise to lr in the first `warm_part` of `steps`, then falls to lr / (rise fall),
/// each along half a cosine or a line; the last value afterwards. Requires steps >= 1, 0 <=
/// warm_part <= 1, rise and fall positive. Smith, Topin, "Super-convergence", 2018.
struct OneCycleSchedule {
  enum class Shape { kCosine, kLinear };
  double lr = 1e-3;  // the highest
  int64_t steps = 1;
  double warm_part = 0.3;
  double rise = 25;
  double fall = 1e4;
  Shape shape = Shape::kCosine;
  double at(int64_t step) const;
};

/// lr * gamma^(step / every): a fall by `gamma` after each `every` steps. Requires every >= 1.
struct StepSchedule {
  double lr = 1e-3;
  int64_t every = 1000;
  double gamma = 0.1;
  double at(int64_t step) const;
};

/// Multiplies lr by `factor` when more than `patience` measurements in a row were no better than
/// the best one by at least `threshold` of its size. NaN is no better. lr never rises, and falls to
/// min_lr at most. Requires 0 < factor < 1 and patience >= 0. best, bad and lr are its whole state,
/// to be kept in a checkpoint. at() adds a linear rise over `warmup` steps.
struct PlateauSchedule {
  double lr = 1e-3;
  double factor = 0.1;
  int64_t patience = 10;
  double threshold = 1e-4;
  double min_lr = 0;
  int64_t warmup = 0;
  double best = std::numeric_limits<double>::infinity();
  int64_t bad = 0;  // measurements since the best one, or since lr fell
  /// Takes a measurement; returns the learning rate from now on.
  double observe(double loss);
  double at(int64_t step) const;
};

}  // namespace trireme
