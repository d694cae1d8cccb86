// What the tests of a real device share. They skip, with the reason, where there is none.

#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <string>

#include "core/tensor/create.h"

namespace trireme::testing {

class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      zeros({1}, {DType::kF32, gpu()});
    } catch (const CudaError& error) {
      GTEST_SKIP() << error.what();
    }
  }

  /// The device that TRIREME_TEST_DEVICE names, else cuda:0.
  static Device gpu() {
    const char* name = std::getenv("TRIREME_TEST_DEVICE");
    return name ? parse_device(name) : Device{DeviceType::kCuda, 0};
  }
};

}  // namespace trireme::testing
