#include "core/metrics/gpu_families.h"

#include <prometheus/metric_family.h>

namespace trireme {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

/// A metric with one value per GPU, left out for a GPU that does not tell it.
struct Row {
  const char* name;
  const char* help;
  MetricType type;
  std::optional<double> (*value)(const GpuState&);
};

template <auto kField>
std::optional<double> field(const GpuState& gpu) {
  if (!(gpu.*kField)) return std::nullopt;
  return static_cast<double>(*(gpu.*kField));
}

using G = GpuState;
constexpr MetricType kGauge = MetricType::Gauge;

// clang-format off
constexpr Row kRows[] = {
    {"trireme_gpu_utilization_ratio", "Share of the last second in which some kernel ran", kGauge, field<&G::utilization>},
    {"trireme_gpu_memory_device_total_bytes", "Memory of the device", kGauge, field<&G::memory_total_bytes>},
    {"trireme_gpu_memory_device_used_bytes", "Memory in use by all processes and the driver", kGauge, field<&G::memory_used_bytes>},
    {"trireme_gpu_memory_device_free_bytes", "Memory that is free", kGauge, field<&G::memory_free_bytes>},
    {"trireme_gpu_temperature_celsius", "Temperature of the chip", kGauge, field<&G::temperature_celsius>},
    {"trireme_gpu_power_watts", "Power drawn now", kGauge, field<&G::power_watts>},
    {"trireme_gpu_power_limit_watts", "Power at which the device slows down", kGauge, field<&G::power_limit_watts>},
};
// clang-format on

Labels labels_of(const std::string& run_id, const GpuState& gpu) {
  return {{"job_id", run_id}, {"gpu", std::to_string(gpu.index)}, {"gpu_uuid", gpu.uuid}};
}

void add(MetricFamily& family, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family.metric.push_back(std::move(metric));
}

Labels with(Labels labels, std::initializer_list<ClientMetric::Label> more) {
  labels.insert(labels.end(), more);
  return labels;
}

}  // namespace

std::vector<MetricFamily> make_gpu_families(const std::string& run_id,
                                            const std::string& driver_version,
                                            const std::vector<GpuState>& gpus) {
  std::vector<MetricFamily> families;
  for (const Row& row : kRows) {
    MetricFamily family{row.name, row.help, row.type, {}};
    for (const GpuState& gpu : gpus) {
      if (const auto value = row.value(gpu)) add(family, labels_of(run_id, gpu), *value);
    }
    families.push_back(std::move(family));
  }
  MetricFamily info{"trireme_gpu_info", "Which GPU it is", kGauge, {}};
  MetricFamily throttled{
      "trireme_gpu_throttled", "1 while the GPU runs slower for this reason, else 0", kGauge, {}};
  MetricFamily ecc{"trireme_gpu_ecc_errors_total",
                   "Memory errors since the driver was loaded",
                   MetricType::Counter,
                   {}};
  for (const GpuState& gpu : gpus) {
    const Labels labels = labels_of(run_id, gpu);
    add(info,
        with(labels,
             {{"gpu_name", gpu.name}, {"pci_bus_id", gpu.pci_id}, {"driver", driver_version}}),
        1);
    if (gpu.throttle_bits) {
      for (const ThrottleReason& reason : kThrottleReasons) {
        add(throttled, with(labels, {{"reason", reason.name}}),
            (*gpu.throttle_bits & reason.bit) != 0 ? 1 : 0);
      }
    }
    const auto count = [&](const char* kind, const std::optional<int64_t>& errors) {
      if (errors) add(ecc, with(labels, {{"kind", kind}}), static_cast<double>(*errors));
    };
    count("corrected", gpu.ecc_corrected);
    count("uncorrected", gpu.ecc_uncorrected);
  }
  families.push_back(std::move(info));
  families.push_back(std::move(throttled));
  families.push_back(std::move(ecc));
  std::erase_if(families, [](const MetricFamily& family) { return family.metric.empty(); });
  return families;
}

}  // namespace trireme
