#include <iomanip>
#include <optional>
#include <sstream>

#include "core/base/error.h"
#include "core/base/shared_library.h"
#include "launcher/doctor/report.h"

namespace trireme {
namespace {

/// "63 % busy, 81 C, 650 of 700 W, 60.2 of 141.0 GiB used"; what is not known is left out.
std::string state_text(const GpuState& gpu) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(0);
  const char* separator = "";
  const auto next = [&]() -> std::ostream& {
    out << separator;
    separator = ", ";
    return out;
  };
  constexpr double kGiB = 1 << 30;
  if (gpu.utilization) next() << *gpu.utilization * 100 << " % busy";
  if (gpu.temperature_celsius) next() << *gpu.temperature_celsius << " C";
  if (gpu.power_watts) {
    next() << *gpu.power_watts;
    if (gpu.power_limit_watts) out << " of " << *gpu.power_limit_watts;
    out << " W";
  }
  if (gpu.memory_used_bytes && gpu.memory_total_bytes) {
    next() << std::setprecision(1) << static_cast<double>(*gpu.memory_used_bytes) / kGiB << " of "
           << static_cast<double>(*gpu.memory_total_bytes) / kGiB << " GiB used";
  }
  return out.str();
}

/// "memory errors: 7 corrected, 0 uncorrected"; a GPU without ECC, or one that does not tell: "".
std::string ecc_text(const GpuState& gpu) {
  std::string text;
  const auto add = [&text](std::optional<int64_t> count, const char* kind) {
    if (count) text += concat(text.empty() ? "memory errors: " : ", ", *count, " ", kind);
  };
  add(gpu.ecc_corrected, "corrected");
  add(gpu.ecc_uncorrected, "uncorrected");
  return text;
}

/// What is wrong has a fix behind it; what is unknown has no line.
void add_gpu(Page& page, const GpuState& gpu) {
  page.findings.push_back(
      {concat("GPU ", gpu.index), concat(gpu.name, ", ", gpu.uuid, ", ", gpu.pci_id), "", false});
  page.findings.push_back({"", state_text(gpu), "", false});
  if (gpu.throttle_bits) {
    const std::string slow = throttle_text(*gpu.throttle_bits);
    page.findings.push_back(
        {"", slow.empty() ? "not slowed down" : "slowed down by " + slow,
         slow.empty() ? "" : "look at cooling and power; nvidia-smi -q -d PERFORMANCE", false});
  }
  if (const std::string errors = ecc_text(gpu); !errors.empty()) {
    const bool is_broken = gpu.ecc_uncorrected.value_or(0) > 0;
    page.findings.push_back(
        {"", errors, is_broken ? "reset the GPU or take it out of service" : "", false});
  }
}

/// "580.65.06, for CUDA up to 13.0": the second part from the library that programs load.
std::string driver_text(const GpuMonitor& monitor) {
  const SharedLibrary driver("NVIDIA driver", {"libcuda.so.1"});
  int version = 0;
  if (void* const symbol = driver.find_or_null("cuDriverGetVersion")) {
    reinterpret_cast<int (*)(int*)>(symbol)(&version);
  }
  std::string text = monitor.driver_version();
  if (version > 0) text += concat(", for CUDA up to ", version / 1000, ".", version % 1000 / 10);
  return text;
}

}  // namespace

Page gpu_page(const GpuMonitor& monitor) {
  Page page{"GPUs", {}};
  if (!monitor.is_open()) {
    page.findings.push_back(
        {"driver", "none that works",
         "install the NVIDIA driver (in a container: start it with GPU access); " + monitor.error(),
         true});
    return page;
  }
  page.findings.push_back({"driver", driver_text(monitor), "", false});
  const std::vector<GpuState> gpus = monitor.read();
  for (const GpuState& gpu : gpus) add_gpu(page, gpu);
  if (gpus.empty()) {
    page.findings.push_back(
        {"GPUs", "none", "see whether lspci lists them and dmesg has errors of the driver", true});
  }
  return page;
}

}  // namespace trireme
