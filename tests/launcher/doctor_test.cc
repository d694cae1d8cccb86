// `trireme doctor` on this machine, and its pages for machines that are not here.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "core/base/config.h"
#include "core/base/exit_code.h"
#include "launcher/doctor/report.h"
#include "tests/launcher/launched.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// One hot GPU with a memory error; `count` = 0: a driver without GPUs.
template <unsigned kCount>
NvmlApi nvml_with() {
  using Gpu = NvmlApi::Gpu;
  NvmlApi api{};
  api.init = [] { return 0; };
  api.error_string = [](int) { return ""; };
  const auto text = [](Gpu, char* to, unsigned) {
    std::strcpy(to, "NVIDIA H200");
    return 0;
  };
  api.system_driver_version = [](char* to, unsigned) {
    std::strcpy(to, "580.65.06");
    return 0;
  };
  api.device_count = [](unsigned* count) {
    *count = kCount;
    return 0;
  };
  api.device_by_index = [](unsigned, Gpu*) { return 0; };
  api.name = text;
  api.uuid = text;
  api.pci = [](Gpu, NvmlApi::Pci*) { return 3; };
  api.memory = [](Gpu, NvmlApi::Memory* memory) {
    *memory = {4ull << 30, 1ull << 30, 3ull << 30};
    return 0;
  };
  api.utilization = [](Gpu, NvmlApi::Utilization*) { return 3; };
  api.temperature = [](Gpu, int, unsigned* celsius) {
    *celsius = 91;
    return 0;
  };
  api.power = [](Gpu, unsigned* milliwatts) {
    *milliwatts = 350'000;
    return 0;
  };
  api.power_limit = [](Gpu, unsigned*) { return 3; };
  api.throttle_reasons = [](Gpu, unsigned long long* bits) {
    *bits = 0x60;
    return 0;
  };
  api.ecc_errors = [](Gpu, int type, int, unsigned long long* count) {
    *count = type == 1 ? 2 : 7;  // uncorrected, corrected
    return 0;
  };
  return api;
}

TEST(Doctor, ShowsAGpuWithWhatIsWrongAndTheFix) {
  const Page page = gpu_page(GpuMonitor(nvml_with<1>()));
  EXPECT_THAT(page_text(page),
              AllOf(HasSubstr("580.65.06"), HasSubstr("91 C, 350 W, 3.0 of 4.0 GiB used"),
                    HasSubstr("slowed down by thermal, hardware_thermal"),
                    HasSubstr("memory errors: 7 corrected, 2 uncorrected"),
                    HasSubstr("-> reset the GPU or take it out of service")));
  EXPECT_FALSE(lacks_gpus({page}));
}

TEST(Doctor, SaysThatNothingIsWrongUnlikeWhatIsUnknown) {
  NvmlApi api = nvml_with<1>();
  api.throttle_reasons = [](NvmlApi::Gpu, unsigned long long* bits) {
    *bits = 0x01;  // idle
    return 0;
  };
  api.ecc_errors = [](NvmlApi::Gpu, int type, int, unsigned long long* count) {
    *count = type == 1 ? 0 : 7;
    return 0;
  };
  EXPECT_THAT(
      page_text(gpu_page(GpuMonitor(api))),
      AllOf(HasSubstr("not slowed down\n"),
            HasSubstr("memory errors: 7 corrected, 0 uncorrected\n"), Not(HasSubstr("->"))));
  api.throttle_reasons = [](NvmlApi::Gpu, unsigned long long*) { return 3; };
  api.ecc_errors = [](NvmlApi::Gpu, int, int, unsigned long long*) { return 3; };
  EXPECT_THAT(page_text(gpu_page(GpuMonitor(api))),
              AllOf(HasSubstr("91 C"), Not(HasSubstr("slowed")), Not(HasSubstr("memory errors"))));
}

TEST(Doctor, ADriverWithoutGpusIsNotEnough) {
  EXPECT_TRUE(lacks_gpus({gpu_page(GpuMonitor(nvml_with<0>()))}));
}

TEST(Doctor, AMissingDriverIsSaidWithTheFix) {
  NvmlApi api = nvml_with<1>();
  api.init = [] { return 9; };
  const Page page = gpu_page(GpuMonitor(api));
  EXPECT_THAT(page_text(page), HasSubstr("-> install the NVIDIA driver"));
  EXPECT_TRUE(lacks_gpus({page}));
}

struct Ended {
  int code;
  std::string out;
};

Ended run_doctor(const std::string& device) {
  const testing::TempDir folder;
  testing::Launched doctor(folder.path(), {"doctor", "--device", device});
  const int code = doctor.wait();
  return {code, doctor.out()};
}

TEST(Doctor, RunsHereAndAnswersWhatWasAsked) {
  const bool has_gpus = !lacks_gpus({build_page(), gpu_page(GpuMonitor()), library_page()});
  const Ended cpu = run_doctor("cpu");
  EXPECT_EQ(cpu.code, kExitOk);
  EXPECT_THAT(cpu.out, AllOf(HasSubstr(kVersion), HasSubstr("/dev/shm"), HasSubstr("cores")));
  EXPECT_EQ(run_doctor("cuda").code, has_gpus ? kExitOk : kExitDevice);
  EXPECT_EQ(run_doctor("tpu").code, kExitUsage);
}

}  // namespace
}  // namespace trireme
