// The training step of a classifier, of images mostly, and how its benchmark runs and reports.

#pragma once

#include <cstdio>

#include "benchmarks/step_timing.h"
#include "core/amp/autocast.h"
#include "core/amp/grad_scaler.h"
#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/base/parallel_for.h"
#include "core/ops/ops.h"
#include "core/optim/sgd.h"
#include "core/tensor/create.h"
#include "distributed/device_of_rank.h"
#include "launcher/precision.h"

namespace trireme {

/// Labels 0, 1, ..., classes - 1, 0, ...
inline Tensor labels_in_turn(int64_t batch, int64_t classes, Device device) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < batch; ++i) labels.push_back(i % classes);
  return from_vector(labels, {batch}, device);
}

/// The benchmark's device, with its threads set. To be called before the model is made.
inline Device begin_benchmark(const StepFlags& flags) {
  if (flags.threads > 0) set_num_threads(flags.threads);
  return device_of_rank(flags.device, RankEnv{});
}

/// Prints `count` images (or what `unit` says) per step of `seconds` each.
inline void report_rate(const StepFlags& flags, Device device, double seconds, int64_t count,
                        const char* unit) {
  const double rate = static_cast<double>(count) / seconds;
  std::printf("%s: %s%s, %.3f ms per step, %.1f %s/s, peak %.0f MiB\n", hardware(device).c_str(),
              flags.precision.c_str(), flags.graph ? ", graph" : "", 1e3 * seconds, rate, unit,
              peak_mib(device));
  if (!flags.json) return;
  print_json({{{"hardware", hardware(device)}, {"precision", flags.precision}},
              {{"ms", 1e3 * seconds}, {"per_second", rate}, {"peak_mib", peak_mib(device)}}});
}

/// Times evaluations of one batch and prints images per second.
template <typename Model>
void time_evaluation(const StepFlags& flags, Device device, Model& model, const Tensor& images) {
  const Precision precision = parse_precision(flags.precision);
  model.eval();
  const Step step = prepare(flags, device, [&] {
    const MemoryKindGuard kind(MemoryKind::kActivations);
    const NoGrad no_grad;
    const Autocast autocast(precision.autocast);
    return sum(model.forward(images));
  });
  report_rate(flags, device, seconds_per_step(device, flags.steps, step), images.size(0), "images");
}

/// Times steps of forward, cross entropy, backward and SGD with momentum on one batch of random
/// numbers, and prints images (or what `unit` says) per second. `model` is on `device`; `images`
/// has its dtype.
template <typename Model>
void time_classifier(const StepFlags& flags, Device device, Model& model, SgdOptions options,
                     double weight_decay, const Tensor& images, const Tensor& labels,
                     const char* unit = "images") {
  const Precision precision = parse_precision(flags.precision);
  Sgd optimizer({{model.named_parameters(), {.weight_decay = weight_decay}}}, options);
  if (flags.graph) optimizer.keep_schedule_on_device();
  GradScaler scaler;
  const Step step = prepare(flags, device, [&] {
    const Tensor loss = [&] {
      const Autocast autocast(precision.autocast);
      const Tensor mean = cross_entropy(model.forward(images), labels);
      return precision.scales_loss ? scaler.scaled(mean) : mean;
    }();
    backward(loss);
    optimizer.step(precision.scales_loss ? full({}, 1 / scaler.scale(), {DType::kF64, device})
                                         : Tensor());
    optimizer.zero_grad();
    return loss;
  });
  report_rate(flags, device, seconds_per_step(device, flags.steps, step), labels.numel(), unit);
}

}  // namespace trireme
