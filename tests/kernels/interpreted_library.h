// A cuDNN that computes: the wrapper on the mock, whose graphs are interpreted.

#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "kernels/cudnn_library.h"
#include "tests/kernels/cudnn_interpreter.h"
#include "tests/kernels/cudnn_mock.h"
#include "tests/kernels/host_device.h"

namespace trireme::testing {

/// Expects at its end that the mock had nothing to complain about and that every object was freed.
struct InterpretedLibrary {
  CudnnMock mock;
  HostDevice device{[] { return 1.0; }};
  std::unique_ptr<kernels::CudnnLibrary> cudnn;

  InterpretedLibrary() {
    mock.state().execute = interpret;
    cudnn = std::make_unique<kernels::CudnnLibrary>(mock.api(), device, kernels::CudnnOptions{});
  }
  ~InterpretedLibrary() {
    EXPECT_EQ(mock.state().complaint, "");
    cudnn.reset();
    EXPECT_EQ(mock.state().live_objects, 0);
  }
};

}  // namespace trireme::testing
