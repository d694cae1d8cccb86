// The metrics of the node's GPUs (docs/metrics.md lists them).

#pragma once

#include <string>
#include <vector>

#include "core/metrics/nvml.h"

namespace prometheus {
struct MetricFamily;
}

namespace trireme {

/// Every metric of every GPU, none without GPUs. Labels on all: job_id, gpu_uuid and gpu, the
/// number that nvidia-smi shows.
std::vector<prometheus::MetricFamily> make_gpu_families(const std::string& run_id,
                                                        const std::string& driver_version,
                                                        const std::vector<GpuState>& gpus);

}  // namespace trireme
