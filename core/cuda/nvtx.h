// Ranges for NVIDIA's profilers: `nsys profile trireme-train ...` then shows phases, layers and
// backward ops above the kernels that they queue.
//
// NVTX is headers only. Without a profiler its calls find nothing to call.

#pragma once

namespace trireme::cuda {

/// TraceRange (core/base/trace_range.h) makes NVTX ranges from now on.
void install_nvtx_ranges();

}  // namespace trireme::cuda
