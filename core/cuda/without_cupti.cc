// What a build answers whose toolkit came without CUPTI.

#include "core/base/error.h"
#include "core/cuda/activity_trace.h"

namespace trireme::cuda {

struct ActivityTrace::State {};

ActivityTrace::ActivityTrace(const std::string&, int) {
  throw CudaError("activity_trace: this build has no CUPTI; build with a toolkit that has it");
}

ActivityTrace::~ActivityTrace() = default;

}  // namespace trireme::cuda
