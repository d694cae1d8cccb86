// Where the tensors of a test lie: on the device that the environment variable TRIREME_TEST_DEVICE
// names, on the CPU where it is not set. Suites that ask for it can run on a GPU.

#pragma once

#include <cstdlib>

#include "core/base/device.h"

namespace trireme::testing {

inline Device test_device() {
  static const Device device = [] {
    const char* name = std::getenv("TRIREME_TEST_DEVICE");
    return name ? parse_device(name) : Device{};
  }();
  return device;
}

}  // namespace trireme::testing
