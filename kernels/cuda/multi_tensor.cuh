// The kernels behind all optimizers: one launch takes up to kMostSpans arrays.

#pragma once

#include <vector>

#include "core/cuda/memory.h"
#include "kernels/cuda/chunk_table.h"
#include "kernels/cuda/group.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/optimizer_body.h"

namespace trireme::kernels {

/// Spans of one launch: all parameters of most models. The table is then 23 KB.
inline constexpr int kMostSpans = 256;

/// A span and whether its arrays are aligned for packs.
template <typename T>
struct CheckedSpan {
  int64_t count;
  StepSpan<T> span;
  bool is_packed;
};

template <typename T>
using SpanTable = ChunkTable<CheckedSpan<T>, kMostSpans>;

/// A thread takes 4 elements a step: 16 bytes of the f32 arrays, 8 of 16-bit ones.
inline constexpr int kStepPack = 4;

/// Of a step whose numbers lie on the device.
template <typename Rule, typename A>
__global__ void numbers_kernel(StepOptions options, Rule rule, StepNumbers<Rule, A>* numbers) {
  *numbers = StepNumbers<Rule, A>(options, rule);
}

template <typename Rule, typename A, typename T>
__global__ void __launch_bounds__(kBlockThreads)
    step_kernel(const __grid_constant__ StepNumbers<Rule, A> of_host,
                const StepNumbers<Rule, A>* of_device, const double* grad_factor,
                const __grid_constant__ SpanTable<T> table) {
  const double factor = grad_factor ? *grad_factor : 1.0;
  if (factor == 0) return;  // gradients were not finite: nothing changes
  const StepNumbers<Rule, A> numbers = of_device ? *of_device : of_host;
  const auto chunk = table.chunk(static_cast<int32_t>(blockIdx.x));
  const CheckedSpan<T>& s = table.span[chunk.span];
  const A trust = static_cast<A>(s.span.trust ? *s.span.trust : 1.0);
  each_pack<kStepPack>(s.is_packed, chunk.begin, chunk.end, static_cast<int>(threadIdx.x),
                       kBlockThreads,
                       StepBody<Rule, A, T>{numbers, static_cast<A>(factor), trust, s.span});
}

template <typename Rule, typename A, typename T>
__global__ void __launch_bounds__(kBlockThreads)
    measure_kernel(const __grid_constant__ StepNumbers<Rule, A> of_host,
                   const StepNumbers<Rule, A>* of_device, const double* grad_factor,
                   const __grid_constant__ SpanTable<T> table, Two<double>* partials) {
  __shared__ GroupSlots slots;
  const double factor = grad_factor ? *grad_factor : 1.0;
  if (factor == 0) return;
  const DeviceGroup group(kBlockThreads, slots);
  const StepNumbers<Rule, A> numbers = of_device ? *of_device : of_host;
  const auto chunk = table.chunk(static_cast<int32_t>(blockIdx.x));
  const CheckedSpan<T>& s = table.span[chunk.span];
  Two<double> sums{0, 0};
  each_pack<kStepPack>(s.is_packed, chunk.begin, chunk.end, group.rank(), kBlockThreads,
                       MeasureBody<Rule, A, T>{numbers, static_cast<A>(factor), s.span, sums});
  sums = group_sum(group, sums);
  if (group.rank() == 0) partials[blockIdx.x] = sums;
}

/// One block per span.
template <typename Rule, typename A, typename T>
__global__ void __launch_bounds__(kBlockThreads)
    ratio_kernel(const __grid_constant__ StepNumbers<Rule, A> of_host,
                 const StepNumbers<Rule, A>* of_device, const double* grad_factor,
                 const __grid_constant__ SpanTable<T> table, const Two<double>* partials) {
  __shared__ GroupSlots slots;
  if (grad_factor && *grad_factor == 0) return;
  const DeviceGroup group(kBlockThreads, slots);
  const auto& element = of_device ? of_device->element : of_host.element;
  Two<double> sums{0, 0};
  const int32_t end = table.first_chunk[blockIdx.x + 1];
  for (int32_t i = table.first_chunk[blockIdx.x] + group.rank(); i < end; i += kBlockThreads) {
    sums = sums + partials[i];
  }
  sums = group_sum(group, sums);
  double* const trust = table.span[blockIdx.x].span.trust;
  if (group.rank() == 0 && trust) *trust = element.trust(sums.first, sums.second);
}

/// Calls fn(numbers of the host, numbers of the device or null, table) for tables that hold all
/// spans together.
template <typename A, typename Rule, typename T, typename Fn>
void each_table(const char* op, Cuda device, const StepOptions& options, const Rule& rule,
                std::span<const StepSpan<T>> spans, const Fn& fn) {
  using Numbers = StepNumbers<Rule, A>;
  const cuda::Workspace workspace(device, options.schedule ? int64_t{sizeof(Numbers)} : 0);
  Numbers* const of_device = workspace.as<Numbers>();
  const Numbers of_host = options.schedule ? Numbers() : Numbers(options, rule);
  if (options.schedule) {
    launch(op, device, numbers_kernel<Rule, A>, {.blocks = 1, .threads = 1}, options, rule,
           of_device);
  }
  std::vector<CheckedSpan<T>> checked;
  checked.reserve(spans.size());
  for (const StepSpan<T>& s : spans) checked.push_back({s.count, s, is_packed<kStepPack>(s)});
  std::span<const CheckedSpan<T>> rest(checked);
  SpanTable<T> table;
  while (!rest.empty()) {
    rest = fill_table(rest, table);
    if (table.spans == 0) return;
    fn(of_host, static_cast<const Numbers*>(of_device), table);
  }
}

template <typename T, typename Rule>
void step_all(Cuda device, const StepOptions& options, const Rule& rule,
              std::span<const StepSpan<T>> spans) {
  using A = Acc<T>;
  constexpr const char* kOp = "optimizer";
  each_table<A>(kOp, device, options, rule, spans,
                [&](const auto& of_host, auto* of_device, const auto& table) {
                  launch(kOp, device, step_kernel<Rule, A, T>, {.blocks = table.chunks()}, of_host,
                         of_device, options.grad_factor, table);
                });
}

template <typename T, typename Rule>
void trust_ratios(Cuda device, const StepOptions& options, const Rule& rule,
                  std::span<const StepSpan<T>> spans) {
  using A = Acc<T>;
  constexpr const char* kOp = "trust_ratios";
  std::vector<StepSpan<T>> measured;
  for (const StepSpan<T>& s : spans) {
    if (s.trust || Rule::kStepsStates) measured.push_back(s);
  }
  each_table<A>(kOp, device, options, rule, std::span<const StepSpan<T>>(measured),
                [&](const auto& of_host, auto* of_device, const auto& table) {
                  const cuda::Workspace workspace(
                      device, int64_t{table.chunks()} * static_cast<int64_t>(sizeof(Two<double>)));
                  Two<double>* const partials = workspace.as<Two<double>>();
                  launch(kOp, device, measure_kernel<Rule, A, T>, {.blocks = table.chunks()},
                         of_host, of_device, options.grad_factor, table, partials);
                  launch(kOp, device, ratio_kernel<Rule, A, T>, {.blocks = table.spans}, of_host,
                         of_device, options.grad_factor, table,
                         static_cast<const Two<double>*>(partials));
                });
}

}  // namespace trireme::kernels
