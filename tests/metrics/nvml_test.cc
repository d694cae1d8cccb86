#include "core/metrics/nvml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include <prometheus/metric_family.h>

#include "core/metrics/gpu_families.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;

constexpr int kNotSupported = 3;

bool is_first(NvmlApi::Gpu gpu) { return gpu == reinterpret_cast<void*>(1); }

// A library with one H200 that draws 650 W and is held back by heat, and one GPU that tells its
// name only.
NvmlApi fake_nvml() {
  NvmlApi api{};
  api.init = [] { return 0; };
  api.error_string = [](int) { return "Driver Not Loaded"; };
  api.system_driver_version = [](char* to, unsigned) {
    std::strcpy(to, "580.65.06");
    return 0;
  };
  api.device_count = [](unsigned* count) {
    *count = 2;
    return 0;
  };
  api.device_by_index = [](unsigned index, NvmlApi::Gpu* gpu) {
    *gpu = reinterpret_cast<void*>(static_cast<uintptr_t>(index) + 1);
    return 0;
  };
  api.name = [](NvmlApi::Gpu gpu, char* to, unsigned) {
    std::strcpy(to, is_first(gpu) ? "NVIDIA H200" : "Quiet GPU");
    return 0;
  };
  api.uuid = [](NvmlApi::Gpu gpu, char* to, unsigned) {
    std::strcpy(to, is_first(gpu) ? "GPU-1" : "GPU-2");
    return 0;
  };
  api.pci = [](NvmlApi::Gpu gpu, NvmlApi::Pci* pci) {
    std::strcpy(pci->id, "00000000:17:00.0");
    return is_first(gpu) ? 0 : kNotSupported;
  };
  api.memory = [](NvmlApi::Gpu gpu, NvmlApi::Memory* memory) {
    *memory = {1000, 400, 600};
    return is_first(gpu) ? 0 : kNotSupported;
  };
  api.utilization = [](NvmlApi::Gpu gpu, NvmlApi::Utilization* busy) {
    *busy = {75, 20};
    return is_first(gpu) ? 0 : kNotSupported;
  };
  api.temperature = [](NvmlApi::Gpu gpu, int, unsigned* celsius) {
    *celsius = 81;
    return is_first(gpu) ? 0 : kNotSupported;
  };
  api.power = [](NvmlApi::Gpu gpu, unsigned* milliwatts) {
    *milliwatts = 650'000;
    return is_first(gpu) ? 0 : kNotSupported;
  };
  api.power_limit = api.power;
  api.throttle_reasons = [](NvmlApi::Gpu gpu, unsigned long long* bits) {
    *bits = 0x01 | 0x20;  // idle is no reason
    return is_first(gpu) ? 0 : kNotSupported;
  };
  api.ecc_errors = [](NvmlApi::Gpu gpu, int type, int, unsigned long long* count) {
    *count = type == 0 ? 7 : 1;
    return is_first(gpu) ? 0 : kNotSupported;
  };
  return api;
}

TEST(GpuMonitor, ReadsWhatAGpuTells) {
  const GpuMonitor monitor(fake_nvml());
  ASSERT_TRUE(monitor.is_open());
  EXPECT_EQ(monitor.driver_version(), "580.65.06");
  const std::vector<GpuState> gpus = monitor.read();
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[0].name, "NVIDIA H200");
  EXPECT_EQ(gpus[0].memory_used_bytes, 600);
  EXPECT_EQ(gpus[0].utilization, 0.75);
  EXPECT_EQ(gpus[0].temperature_celsius, 81);
  EXPECT_EQ(gpus[0].power_watts, 650);
  EXPECT_EQ(gpus[0].ecc_corrected, 7);
  EXPECT_EQ(gpus[0].ecc_uncorrected, 1);
  EXPECT_EQ(throttle_text(*gpus[0].throttle_bits), "thermal");
  EXPECT_EQ(gpus[1].name, "Quiet GPU");
  EXPECT_FALSE(gpus[1].utilization);
  EXPECT_FALSE(gpus[1].throttle_bits);
}

TEST(GpuMonitor, SaysWhyTheLibraryCannotBeUsed) {
  NvmlApi api = fake_nvml();
  api.init = [] { return 9; };
  const GpuMonitor monitor(api);
  EXPECT_FALSE(monitor.is_open());
  EXPECT_THAT(monitor.error(), HasSubstr("cannot be used, Driver Not Loaded"));
  EXPECT_TRUE(monitor.read().empty());
}

const prometheus::ClientMetric* sample(const std::vector<prometheus::MetricFamily>& families,
                                       const std::string& name, const std::string& gpu,
                                       const std::string& last_label = "") {
  for (const auto& family : families) {
    if (family.name != name) continue;
    for (const auto& metric : family.metric) {
      const bool is_gpu = metric.label[1].value == gpu;
      if (is_gpu && (last_label.empty() || metric.label.back().value == last_label)) return &metric;
    }
  }
  return nullptr;
}

TEST(GpuFamilies, ShowWhatIsKnownAndLeaveOutTheRest) {
  const GpuMonitor monitor(fake_nvml());
  const auto families = make_gpu_families("run", monitor.driver_version(), monitor.read());
  EXPECT_EQ(sample(families, "trireme_gpu_utilization_ratio", "0")->gauge.value, 0.75);
  EXPECT_EQ(sample(families, "trireme_gpu_power_watts", "0")->gauge.value, 650);
  EXPECT_EQ(sample(families, "trireme_gpu_throttled", "0", "thermal")->gauge.value, 1);
  EXPECT_EQ(sample(families, "trireme_gpu_throttled", "0", "power_cap")->gauge.value, 0);
  EXPECT_EQ(sample(families, "trireme_gpu_ecc_errors_total", "0", "uncorrected")->counter.value, 1);
  EXPECT_NE(sample(families, "trireme_gpu_info", "1", "580.65.06"), nullptr);
  EXPECT_EQ(sample(families, "trireme_gpu_power_watts", "1"), nullptr);
}

TEST(GpuFamilies, AreNoneWithoutGpus) { EXPECT_TRUE(make_gpu_families("run", "", {}).empty()); }

}  // namespace
}  // namespace trireme
