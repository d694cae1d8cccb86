// Norms that share their kernels, on the emulated GPU: an error is said of the one that was called.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"
#include "tests/cuda/fake_device.h"
#include "tests/support/message_of.h"

namespace trireme::testing {
namespace {

using ::testing::StartsWith;

const TensorOptions kOnGpu{DType::kF32, {DeviceType::kCuda, 0}};

/// What is thrown where the next launch of a kernel fails.
template <typename Fn>
std::string message_of_failed_launch(const Fn& fn) {
  fake().fail_next["launch_kernel"] = cudaErrorInvalidConfiguration;
  return message_of<CudaError>(fn);
}

Tensor leaf() { return ones({2, 8}, kOnGpu).set_requires_grad(); }

TEST(NormErrors, NameTheNormForward) {
  const Tensor x = leaf(), gamma = ones({8}, kOnGpu);
  EXPECT_THAT(message_of_failed_launch([&] { layer_norm(x, gamma, {}); }),
              StartsWith("layer_norm: "));
  EXPECT_THAT(message_of_failed_launch([&] { rms_norm(x, gamma); }), StartsWith("rms_norm: "));
  EXPECT_THAT(message_of_failed_launch([&] { residual_layer_norm(x, x, gamma, {}); }),
              StartsWith("residual_layer_norm: "));
  EXPECT_THAT(message_of_failed_launch([&] { residual_rms_norm(x, x, gamma); }),
              StartsWith("residual_rms_norm: "));
}

TEST(NormErrors, NameTheNormBackward) {
  const Tensor x = leaf(), dy = ones({2, 8}, kOnGpu);
  const auto said_of = [&](const Tensor& y) {
    return message_of_failed_launch([&] { backward(y, {.gradient = dy}); });
  };
  EXPECT_THAT(said_of(layer_norm(x, {}, {})), StartsWith("layer_norm backward: "));
  EXPECT_THAT(said_of(rms_norm(x, {})), StartsWith("rms_norm backward: "));
  EXPECT_THAT(said_of(residual_layer_norm(x, x, {}, {}).y),
              StartsWith("residual_layer_norm backward: "));
  EXPECT_THAT(said_of(residual_rms_norm(x, x, {}).y), StartsWith("residual_rms_norm backward: "));
}

}  // namespace
}  // namespace trireme::testing
