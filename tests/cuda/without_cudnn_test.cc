// A machine without a usable cuDNN: batch norm and pooling are computed all the same.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "kernels/cudnn_api.h"
#include "tests/support/environment_variable.h"

namespace trireme::testing {
namespace {

/// relu(batch_norm) and both poolings of an image on `device`, and its gradient.
std::vector<std::vector<float>> results_on(Device device) {
  Generator generator(3);
  const Tensor x = to_device(randn({2, 6, 6, 4}, generator), device).set_requires_grad();
  const TensorOptions like{DType::kF32, device};
  const Tensor y = batch_norm_relu(x, {}, ones({4}, like), zeros({4}, like));
  const Tensor total = max_pool2d(y) + avg_pool2d(y);
  backward(sum(total));
  return {total.detach().to_vector<float>(), x.grad().to_vector<float>()};
}

void expect_results_of_the_cpu() {
  const auto got = results_on({DeviceType::kCuda, 0}), want = results_on(Device{});
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(got[i].size(), want[i].size());
    for (size_t k = 0; k < want[i].size(); ++k) EXPECT_NEAR(got[i][k], want[i][k], 1e-5) << i;
  }
}

TEST(WithoutCudnn, NobodyLooksForItWhereOurOwnKernelsAreWanted) {
  const EnvironmentVariable own("TRIREME_CUDNN_OR_OWN", "own");
  static int handles;
  handles = 0;
  kernels::CudnnApi counting = kernels::cudnn_api();
  counting.Create = [](cudnnHandle_t*) {
    ++handles;
    return CUDNN_STATUS_NOT_INITIALIZED;
  };
  const kernels::ScopedCudnnApi scope(counting);
  std::thread(expect_results_of_the_cpu).join();
  EXPECT_EQ(handles, 0);
}

TEST(WithoutCudnn, NormsAndPoolingAreOurOwn) {
  const EnvironmentVariable cudnn("TRIREME_CUDNN_OR_OWN", "cudnn");
  kernels::CudnnApi broken = kernels::cudnn_api();
  broken.Create = [](cudnnHandle_t*) { return CUDNN_STATUS_NOT_INITIALIZED; };
  const kernels::ScopedCudnnApi scope(broken);
  // A thread has handles of its own: this one finds no cuDNN.
  std::thread([] {
    expect_results_of_the_cpu();
    const TensorOptions like{DType::kF32, {DeviceType::kCuda, 0}};
    EXPECT_THAT(
        [&] {
          conv2d(ones({1, 2, 2, 1}, like), ones({1, 1, 1, 1}, like));
        },
        ::testing::ThrowsMessage<CudaError>(::testing::HasSubstr("cudnnCreate failed")));
  }).join();
}

}  // namespace
}  // namespace trireme::testing
