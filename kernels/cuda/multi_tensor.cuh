// The kernel behind both optimizers: one launch steps up to kMostSpans arrays.

#pragma once

#include <vector>

#include "core/cuda/memory.h"
#include "kernels/cuda/chunk_table.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/optimizer_body.h"

namespace trireme::kernels {

/// Spans of one launch: all parameters of most models. The table is then 16 KB.
inline constexpr int kMostSpans = 256;

/// A span and whether its arrays are aligned for packs.
template <typename Span>
struct CheckedSpan {
  int64_t count;
  Span span;
  bool is_packed;
};

template <typename Span>
using SpanTable = ChunkTable<CheckedSpan<Span>, kMostSpans>;

/// A thread takes 4 elements a step: 16 bytes of the f32 arrays, 8 of 16-bit ones.
inline constexpr int kStepPack = 4;

/// The rule of a step whose numbers lie on the device.
template <typename Rule, typename Step>
__global__ void rule_kernel(Step step, Rule* rule) {
  *rule = Rule(step);
}

template <typename Rule, typename A, typename Span>
__global__ void __launch_bounds__(kBlockThreads)
    multi_tensor_kernel(const __grid_constant__ Rule rule_of_host, const Rule* rule_of_device,
                        const double* grad_factor, const __grid_constant__ SpanTable<Span> table) {
  const double factor = grad_factor ? *grad_factor : 1.0;
  if (factor == 0) return;  // gradients were not finite: nothing changes
  const Rule rule = rule_of_device ? *rule_of_device : rule_of_host;
  const auto chunk = table.chunk(static_cast<int32_t>(blockIdx.x));
  const CheckedSpan<Span>& s = table.span[chunk.span];
  step_chunk<kStepPack>(rule, static_cast<A>(factor), s.span, s.is_packed, chunk.begin, chunk.end,
                        static_cast<int>(threadIdx.x), kBlockThreads);
}

template <typename A, typename Rule, typename Step, typename Span>
void launch_multi_tensor(const char* op, Cuda device, const Step& step,
                         std::span<const Span> spans) {
  const cuda::Workspace workspace(device, step.schedule ? int64_t{sizeof(Rule)} : 0);
  Rule* const rule_of_device = workspace.as<Rule>();
  const Rule rule = step.schedule ? Rule() : Rule(step);
  if (step.schedule) {
    launch(op, device, rule_kernel<Rule, Step>, {.blocks = 1, .threads = 1}, step, rule_of_device);
  }
  std::vector<CheckedSpan<Span>> checked;
  checked.reserve(spans.size());
  for (const Span& s : spans) {
    checked.push_back({s.count, s, Rule::template is_packed<kStepPack>(s)});
  }
  std::span<const CheckedSpan<Span>> rest(checked);
  SpanTable<Span> table;
  while (!rest.empty()) {
    rest = fill_table(rest, table);
    if (table.spans == 0) return;
    launch(op, device, multi_tensor_kernel<Rule, A, Span>, {.blocks = table.chunks()}, rule,
           rule_of_device, step.grad_factor, table);
  }
}

}  // namespace trireme::kernels
