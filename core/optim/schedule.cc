#include "core/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/error.h"

namespace trireme {
namespace {

double warm(double lr, int64_t step, int64_t warmup) {
  return lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
}

// From 0 at `begin` to 1 at `end`, and 1 from there.
double progress(int64_t step, int64_t begin, int64_t end) {
  if (step >= end) return 1;
  return static_cast<double>(step - begin) / static_cast<double>(std::max<int64_t>(1, end - begin));
}

}  // namespace

double CosineSchedule::at(int64_t step) const {
  if (step < warmup) return warm(lr, step, warmup);
  const double done = progress(step, warmup, steps);
  return min_lr + 0.5 * (lr - min_lr) * (1 + std::cos(std::numbers::pi * done));
}

double ConstantSchedule::at(int64_t step) const {
  return step < warmup ? warm(lr, step, warmup) : lr;
}

double LinearSchedule::at(int64_t step) const {
  if (step < warmup) return warm(lr, step, warmup);
  return lr + (min_lr - lr) * progress(step, warmup, steps);
}

double InverseSqrtSchedule::at(int64_t step) const {
  if (step < warmup) return warm(lr, step, warmup);
  return lr * std::sqrt(static_cast<double>(std::max<int64_t>(1, warmup)) /
                        static_cast<double>(step + 1));
}

double OneCycleSchedule::at(int64_t step) const {
  require(steps >= 1, "one-cycle schedule", "steps must be at least 1, got ", steps);
  require(warm_part >= 0 && warm_part <= 1, "one-cycle schedule",
          "warm_part must lie in [0, 1], got ", warm_part);
  require(rise > 0 && fall > 0, "one-cycle schedule", "rise and fall must be positive, got ", rise,
          " and ", fall);
  const auto between = [&](double from, double to, double part) {
    if (shape == Shape::kCosine) part = 0.5 * (1 - std::cos(std::numbers::pi * part));
    return from + (to - from) * part;
  };
  // The numbers of the highest and of the last step; the former need not be whole.
  const double top = std::max(0.0, warm_part * static_cast<double>(steps) - 1);
  const double last = static_cast<double>(steps - 1);
  const double now = std::min(static_cast<double>(step), last);
  if (now < top) return between(lr / rise, lr, now / top);
  return between(lr, lr / (rise * fall), last > top ? (now - top) / (last - top) : 0);
}

double StepSchedule::at(int64_t step) const {
  require(every >= 1, "step schedule", "every must be at least 1, got ", every);
  return lr * std::pow(gamma, static_cast<double>(step / every));
}

double PlateauSchedule::observe(double loss) {
  require(factor > 0 && factor < 1, "plateau schedule", "factor must lie in (0, 1), got ", factor);
  require(patience >= 0, "plateau schedule", "patience must not be negative, got ", patience);
  if (std::isinf(best) ? loss < best : loss < best - threshold * std::fabs(best)) {
    best = loss;
    bad = 0;
  } else if (++bad > patience) {
    lr = std::min(lr, std::max(lr * factor, min_lr));
    bad = 0;
  }
  return lr;
}

double PlateauSchedule::at(int64_t step) const {
  return step < warmup ? warm(lr, step, warmup) : lr;
}

}  // namespace trireme
