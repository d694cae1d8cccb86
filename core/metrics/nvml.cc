#include "core/metrics/nvml.h"

#include "core/base/error.h"
#include "core/base/shared_library.h"

namespace trireme {
namespace {

const SharedLibrary& library() {
  static const SharedLibrary nvml("NVIDIA driver (NVML)", {"libnvidia-ml.so.1", "libnvidia-ml.so"});
  return nvml;
}

NvmlApi load(const SharedLibrary& nvml) {
  NvmlApi api{};
  const auto find = [&](auto*& entry, const char* name) {
    entry = nvml.symbol<std::remove_pointer_t<std::remove_reference_t<decltype(entry)>>>(name);
  };
  find(api.init, "nvmlInit_v2");
  find(api.error_string, "nvmlErrorString");
  find(api.system_driver_version, "nvmlSystemGetDriverVersion");
  find(api.device_count, "nvmlDeviceGetCount_v2");
  find(api.device_by_index, "nvmlDeviceGetHandleByIndex_v2");
  find(api.name, "nvmlDeviceGetName");
  find(api.uuid, "nvmlDeviceGetUUID");
  find(api.pci, "nvmlDeviceGetPciInfo_v3");
  find(api.memory, "nvmlDeviceGetMemoryInfo");
  find(api.utilization, "nvmlDeviceGetUtilizationRates");
  find(api.temperature, "nvmlDeviceGetTemperature");
  find(api.power, "nvmlDeviceGetPowerUsage");
  find(api.power_limit, "nvmlDeviceGetEnforcedPowerLimit");
  find(api.throttle_reasons, "nvmlDeviceGetCurrentClocksThrottleReasons");
  find(api.ecc_errors, "nvmlDeviceGetTotalEccErrors");
  return api;
}

constexpr int kChip = 0, kCorrected = 0, kUncorrected = 1, kSinceLoaded = 0;

/// What `ask(&value)` yields, empty where it fails.
template <typename Value, typename Ask>
std::optional<Value> answer(const Ask& ask) {
  Value value{};
  if (ask(&value) != 0) return std::nullopt;
  return value;
}

template <typename Ask>
std::string text(const Ask& ask) {
  char buffer[96] = {};
  return ask(buffer, sizeof buffer) == 0 ? std::string(buffer) : std::string();
}

std::optional<double> scaled(std::optional<unsigned> value, double factor) {
  if (!value) return std::nullopt;
  return *value * factor;
}

GpuState read_gpu(const NvmlApi& api, NvmlApi::Gpu gpu, int index) {
  GpuState state;
  state.index = index;
  state.name = text([&](char* to, unsigned size) { return api.name(gpu, to, size); });
  state.uuid = text([&](char* to, unsigned size) { return api.uuid(gpu, to, size); });
  if (const auto pci = answer<NvmlApi::Pci>([&](auto* to) { return api.pci(gpu, to); })) {
    state.pci_id = pci->id;
  }
  if (const auto memory = answer<NvmlApi::Memory>([&](auto* to) { return api.memory(gpu, to); })) {
    state.memory_total_bytes = static_cast<int64_t>(memory->total);
    state.memory_used_bytes = static_cast<int64_t>(memory->used);
    state.memory_free_bytes = static_cast<int64_t>(memory->free);
  }
  if (const auto busy =
          answer<NvmlApi::Utilization>([&](auto* to) { return api.utilization(gpu, to); })) {
    state.utilization = busy->gpu / 100.0;
  }
  const auto number = [](const auto& ask) { return answer<unsigned>(ask); };
  state.temperature_celsius =
      scaled(number([&](unsigned* to) { return api.temperature(gpu, kChip, to); }), 1);
  state.power_watts = scaled(number([&](unsigned* to) { return api.power(gpu, to); }), 1e-3);
  state.power_limit_watts =
      scaled(number([&](unsigned* to) { return api.power_limit(gpu, to); }), 1e-3);
  const auto wide = [](const auto& ask) { return answer<unsigned long long>(ask); };
  state.throttle_bits = wide([&](auto* to) { return api.throttle_reasons(gpu, to); });
  state.ecc_corrected =
      wide([&](auto* to) { return api.ecc_errors(gpu, kCorrected, kSinceLoaded, to); });
  state.ecc_uncorrected =
      wide([&](auto* to) { return api.ecc_errors(gpu, kUncorrected, kSinceLoaded, to); });
  return state;
}

}  // namespace

std::string throttle_text(uint64_t bits) {
  std::string names;
  for (const ThrottleReason& reason : kThrottleReasons) {
    if (bits & reason.bit) names += concat(names.empty() ? "" : ", ", reason.name);
  }
  return names;
}

GpuMonitor::GpuMonitor() {
  if (!library().is_open()) {
    error_ = library().error();
    return;
  }
  try {
    api_ = load(library());
  } catch (const Error& error) {
    error_ = error.what();
    return;
  }
  start();
}

GpuMonitor::GpuMonitor(const NvmlApi& api) : api_(api) { start(); }

// NVML stays initialised until the process ends.
void GpuMonitor::start() {
  const int status = api_->init();
  if (status == 0) return;
  error_ = concat("NVIDIA driver (NVML): cannot be used, ", api_->error_string(status),
                  "; see nvidia-smi, and reload the driver or restart the machine");
  api_.reset();
}

std::string GpuMonitor::driver_version() const {
  if (!api_) return "";
  return text([&](char* to, unsigned size) { return api_->system_driver_version(to, size); });
}

std::vector<GpuState> GpuMonitor::read() const {
  std::vector<GpuState> states;
  unsigned count = 0;
  if (!api_ || api_->device_count(&count) != 0) return states;
  for (unsigned i = 0; i < count; ++i) {
    NvmlApi::Gpu gpu = nullptr;
    if (api_->device_by_index(i, &gpu) == 0) {
      states.push_back(read_gpu(*api_, gpu, static_cast<int>(i)));
    }
  }
  return states;
}

}  // namespace trireme
