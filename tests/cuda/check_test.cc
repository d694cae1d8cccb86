#include "core/cuda/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/config.h"
#include "core/cuda/device.h"
#include "core/cuda/stream.h"
#include "core/cuda/transfer.h"
#include "tests/cuda/fake_device.h"
#include "tests/support/message_of.h"

namespace trireme::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using trireme::testing::fake;
using trireme::testing::FakeDeviceGuard;

TEST(CudaCheck, SaysWhatToDoAboutEachFailure) {
  FakeDeviceGuard guard;
  fake().devices = 2;
  EXPECT_NO_THROW(check("matmul", cudaSuccess));
  EXPECT_THAT(
      message_of<Error>([] { check("matmul", cudaErrorNoDevice); }),
      AllOf(HasSubstr("matmul: no CUDA device is visible"), HasSubstr("cudaErrorNoDevice")));
  EXPECT_THAT(message_of<Error>([] { check("matmul", cudaErrorInvalidDevice); }),
              HasSubstr("use cuda:0 to cuda:1"));
  EXPECT_THAT(message_of<Error>([] { check("matmul", cudaErrorIllegalAddress); }),
              HasSubstr("TRIREME_SYNC_DEBUG=1"));
  EXPECT_THROW(check("matmul", cudaErrorMemoryAllocation), OutOfMemory);
  EXPECT_THROW(check("matmul", cudaErrorUnknown), CudaError);
}

TEST(CudaCheck, TellsAnOldDriverFromNone) {
  FakeDeviceGuard guard;
  Api old = api();
  old.driver_get_version = [](int* version) {
    *version = 11080;
    return cudaSuccess;
  };
  {
    const ScopedApi scope(old);
    EXPECT_THAT(describe("cuda", cudaErrorInsufficientDriver),
                HasSubstr("too old, it supports CUDA 11.8 but this build needs"));
  }
  old.driver_get_version = [](int* version) {
    *version = 0;
    return cudaSuccess;
  };
  const ScopedApi scope(old);
  EXPECT_THAT(describe("cuda", cudaErrorInsufficientDriver),
              HasSubstr("no NVIDIA driver was found; run with --device cpu"));
}

TEST(CudaCheck, ALaunchIsNotWaitedFor) {
  FakeDeviceGuard guard;
  check_launch("gelu", current_cuda(0));
  EXPECT_EQ(fake().call_count("stream_synchronize"), 0);
}

// In a process of its own: the variable is read once.
TEST(CudaCheck, SyncDebugNamesTheOpThatFaults) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto faulting_launch = [] {
    setenv("TRIREME_SYNC_DEBUG", "1", 1);
    FakeDeviceGuard guard;
    const Cuda device = current_cuda(0);
    fake().fail_next["stream_synchronize"] = cudaErrorIllegalAddress;
    std::fputs(message_of<Error>([&] { check_launch("gelu", device); }).c_str(), stderr);
    std::exit(0);
  };
  EXPECT_EXIT(faulting_launch(), ::testing::ExitedWithCode(0),
              "gelu: its work on the device failed");
}

TEST(CudaCheck, SyncDebugNamesTheCopyThatFaults) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto faulting_copy = [] {
    setenv("TRIREME_SYNC_DEBUG", "1", 1);
    FakeDeviceGuard guard;
    char there[8] = {}, here[8] = {};
    const auto failing = [&](const auto& copy) {
      fake().fail_next["stream_synchronize"] = cudaErrorIllegalAddress;
      std::fputs((message_of<Error>(copy) + ";").c_str(), stderr);
    };
    failing([&] { copy_to_device(0, there, here, 8); });
    failing([&] { HostCopy(0, there, 8); });
    std::exit(0);
  };
  EXPECT_EXIT(faulting_copy(), ::testing::ExitedWithCode(0),
              "copy to the device: its work on the device failed.*"
              "copy to the host: its work on the device failed");
}

TEST(CudaDevice, AWrongIndexIsNamed) {
  FakeDeviceGuard guard;
  fake().devices = 2;
  EXPECT_THAT(message_of<Error>([] { current_cuda(7); }),
              HasSubstr("there is no device cuda:7, this process sees 2 (cuda:0 to cuda:1)"));
  fake().devices = 0;
  EXPECT_THAT(message_of<Error>([] { device_info(0); }), HasSubstr("no CUDA device is visible"));
}

TEST(CudaDevice, InfoReadsAsNvidiaSmiPrintsIt) {
  FakeDeviceGuard guard;
  const DeviceInfo info = device_info(0);
  EXPECT_EQ(info.uuid, "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
  EXPECT_EQ(info.pci_id, "0000:17:00.0");
  EXPECT_EQ(info.compute_capability, 90);
}

}  // namespace
}  // namespace trireme::cuda
