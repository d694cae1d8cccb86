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

}  // namespace

double CosineSchedule::at(int64_t step) const {
  if (step < warmup) return warm(lr, step, warmup);
  if (step >= steps) return min_lr;
  const double progress = static_cast<double>(step - warmup) /
                          static_cast<double>(std::max<int64_t>(1, steps - warmup));
  return min_lr + 0.5 * (lr - min_lr) * (1 + std::cos(std::numbers::pi * progress));
}

double ConstantSchedule::at(int64_t step) const {
  return step < warmup ? warm(lr, step, warmup) : lr;
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

}  // namespace trireme
