#include "core/cuda/nvtx.h"

#include <nvtx3/nvToolsExt.h>

#include "core/base/trace_range.h"

namespace trireme::cuda {
namespace {

constexpr TraceHooks kHooks = {.begin = [](const char* name) { nvtxRangePushA(name); },
                               .end = [] { nvtxRangePop(); }};

}  // namespace

void install_nvtx_ranges() { install_trace_hooks(&kHooks); }

}  // namespace trireme::cuda
