// What the environment says about a device's libraries reaches them.

#include <gtest/gtest.h>

#include <thread>

#include "core/cuda/stream.h"
#include "kernels/cublas_matmul.h"
#include "kernels/cudnn_library.h"
#include "tests/gpu/gpu_test.h"
#include "tests/support/environment_variable.h"

namespace trireme::testing {
namespace {

struct Options {
  kernels::CublasOptions cublas;
  kernels::CudnnOptions cudnn;
};

class GpuSettings : public GpuTest {
 protected:
  /// As a new thread reads them: each has libraries of its own.
  static Options options() {
    Options found;
    std::thread([&] {
      const int index = gpu().index;
      cuda::current_stream(index);
      found = {kernels::CublasMatmul::of(index).options(),
               kernels::CudnnLibrary::of(index).options()};
    }).join();
    return found;
  }
};

TEST_F(GpuSettings, Tf32IsForbiddenUnlessAllowed) {
  const EnvironmentVariable off("TRIREME_ALLOW_TF32", "0");
  EXPECT_EQ(options().cublas.tf32, kernels::Tf32::kForbidden);
  EXPECT_FALSE(options().cudnn.tf32);
  const EnvironmentVariable on("TRIREME_ALLOW_TF32", "1");
  EXPECT_EQ(options().cublas.tf32, kernels::Tf32::kAllowed);
  EXPECT_TRUE(options().cudnn.tf32);
}

TEST_F(GpuSettings, GradientsAreDeterministicUnlessSaidOtherwise) {
  const EnvironmentVariable on("TRIREME_DETERMINISTIC", "1");
  EXPECT_TRUE(options().cudnn.deterministic);
  const EnvironmentVariable off("TRIREME_DETERMINISTIC", "0");
  EXPECT_FALSE(options().cudnn.deterministic);
}

TEST_F(GpuSettings, TimingIsLeftOutWhereItIsOff) {
  const EnvironmentVariable on("TRIREME_TUNE", "on");
  EXPECT_TRUE(options().cublas.tune);
  EXPECT_TRUE(options().cudnn.tune);
  const EnvironmentVariable off("TRIREME_TUNE", "off");
  EXPECT_FALSE(options().cublas.tune);
  EXPECT_FALSE(options().cudnn.tune);
}

}  // namespace
}  // namespace trireme::testing
