// What an optimizer's rule is handed: parameters that are stepped alike, as kernels see them.

#pragma once

#include <vector>

#include "core/optim/parameter_groups.h"
#include "kernels/optimizer_step.h"

namespace trireme {

/// Parameters of one dtype and device, with the same options, which have had equally many updates.
struct OptimizerUpdate {
  /// One parameter; all contiguous.
  struct Part {
    Tensor parameter;
    Tensor gradient;
    Tensor master;                       // f32, or undefined
    const std::vector<Tensor>* moments;  // as named at construction
    uint64_t rounding_block = 0;         // as kernels::StepSpan's
  };
  std::vector<Part> parts;
  int rule = 0;  // of the optimizer's, which of the groups' lists they were in
  GroupOptions options;
  double lr = 0;                        // of this group
  const double* grad_factor = nullptr;  // on device(), or null
  int64_t step = 1;                     // number of this update of these parameters, from 1
  const double* schedule = nullptr;     // on device(), as kernels::StepOptions'; null without
  uint64_t rounding_blocks = 0;         // as kernels::StepOptions'

  DType dtype() const { return parts.front().parameter.dtype(); }
  Device device() const { return parts.front().parameter.device(); }

  /// Calls fn(device tag, StepOptions, std::vector<kernels::StepSpan<T>>&) with a span per part,
  /// its states the moments in their order. fn may change the spans; they hold for this call.
  template <typename Fn>
  void on_spans(const char* op, const Fn& fn) const {
    const kernels::StepOptions step_options{.learning_rate = lr,
                                            .weight_decay = options.weight_decay,
                                            .grad_factor = grad_factor,
                                            .step = step,
                                            .schedule = schedule,
                                            .rounding_blocks = rounding_blocks};
    dispatch_floating(op, dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      std::vector<kernels::StepSpan<T>> spans;
      spans.reserve(parts.size());
      for (const Part& part : parts) {
        kernels::StepSpan<T> span{.count = part.parameter.numel(),
                                  .grad = part.gradient.template data<T>(),
                                  .param = part.parameter.template data<T>()};
        if (part.master) span.master = part.master.template data<Acc<T>>();
        for (size_t i = 0; i < part.moments->size(); ++i) {
          span.state[i] = (*part.moments)[i].template data<Acc<T>>();
        }
        span.rounding_block = part.rounding_block;
        spans.push_back(span);
      }
      on_device(device(), [&](auto on) { fn(on, step_options, spans); });
    });
  }

  /// One pass of `rule` over all parts.
  template <typename Rule>
  void step_by(const char* op, const Rule& step_rule) const {
    on_spans(op, [&]<typename T>(auto on, const kernels::StepOptions& step_options,
                                 std::vector<kernels::StepSpan<T>>& spans) {
      kernels::step_all<T>(on, step_options, step_rule, spans);
    });
  }
};

}  // namespace trireme
