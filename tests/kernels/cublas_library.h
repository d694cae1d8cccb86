// CublasMatmul on the mock of cuBLASLt, and numbers for it.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cublas_matmul.h"
#include "tests/kernels/cublas_mock.h"
#include "tests/kernels/host_device.h"

namespace trireme::kernels {

using testing::CublasMock;
using testing::HostDevice;

struct Library {
  CublasMock mock;
  HostDevice device{[this] { return mock.time(); }};
  MatmulAlgorithms algorithms{"", "NVIDIA Mock 1", 130000};
  std::unique_ptr<CublasMatmul> matmul =
      std::make_unique<CublasMatmul>(mock.api(), device, algorithms, CublasOptions{});

  ~Library() {
    matmul.reset();
    EXPECT_EQ(mock.state().live_objects, 0);
  }
};

/// Whole numbers that every dtype holds exactly, so that sums are exact in any order.
template <typename T>
std::vector<T> whole(int64_t count, int64_t seed) {
  std::vector<T> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    values[static_cast<size_t>(i)] = T(static_cast<float>((i * 7 + seed * 5) % 5 - 2));
  }
  return values;
}

}  // namespace trireme::kernels
