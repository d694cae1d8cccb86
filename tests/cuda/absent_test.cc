// What a machine without a driver, or a build without CUDA, says: one message, with what to do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "core/base/device_tag.h"
#include "core/tensor/allocator.h"
#include "core/tensor/create.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

bool has_driver() {
  std::FILE* const version = std::fopen("/proc/driver/nvidia/version", "r");
  if (version) std::fclose(version);
  return version != nullptr;
}

TEST(NoDriver, EveryWayToADeviceSaysTheSame) {
  if (has_driver()) GTEST_SKIP() << "this machine has a driver";
  const Device device{DeviceType::kCuda, 0};
  const std::string expected = kHasCuda ? "no NVIDIA driver was found; run with --device cpu"
                                        : "this build has no CUDA; use --device cpu";
  EXPECT_THAT(message_of<CudaError>([&] {
                zeros({2}, {DType::kF32, device});
              }),
              HasSubstr(expected));
  EXPECT_THAT(message_of<CudaError>([&] { current_cuda(0); }), HasSubstr(expected));
  EXPECT_THAT(message_of<CudaError>([&] { memory_stats(device); }), HasSubstr(expected));
  EXPECT_THAT(message_of<CudaError>([&] { from_vector<float>({1}, {1}, device); }),
              HasSubstr(expected));
}

TEST(NoDriver, TheCpuGoesOn) {
  try {
    zeros({2}, {DType::kF32, {DeviceType::kCuda, 0}});
  } catch (const CudaError&) {
  }
  EXPECT_EQ(ones({3}).to_vector<float>(), std::vector<float>({1, 1, 1}));
}

}  // namespace
}  // namespace trireme
