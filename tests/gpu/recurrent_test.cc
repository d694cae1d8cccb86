// Recurrent layers of cuDNN's: they are asked, and give the same bits twice.

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "core/autograd/backward.h"
#include "core/nn/recurrent.h"
#include "core/ops/ops.h"
#include "core/tensor/transfer.h"
#include "tests/gpu/api_calls.h"
#include "tests/gpu/gpu_test.h"
#include "tests/support/environment_variable.h"

namespace trireme::testing {
namespace {

/// Who computes a shape is chosen once per process: no other test has these.
constexpr int64_t kSteps = 64, kHidden = 48;

/// A step of an lstm and its own launches, on a thread that reads the settings anew.
struct Step {
  int launches = 0;
  std::vector<std::vector<double>> values;  // y and all gradients
};
Step step_by_cudnn(Device device, DType dtype) {
  const EnvironmentVariable use("TRIREME_CUDNN_OR_OWN", "cudnn");
  Step step;
  std::thread([&] {
    Generator generator(3);
    Lstm net({.in = 40, .hidden = kHidden}, generator, {dtype});
    net.to(device);
    Tensor x = to_device(cast(randn({8, kSteps, 40}, generator), dtype), device);
    x.set_requires_grad();
    const ApiCalls calls;
    const Tensor y = net.forward(x).y;
    backward(sum(square(y)));
    step.launches = calls.launches();
    step.values = {y.detach().to_vector<double>(), x.grad().to_vector<double>()};
    for (const auto& [name, p] : net.named_parameters()) {
      step.values.push_back(p.grad().to_vector<double>());
    }
  }).join();
  return step;
}

class GpuRecurrent : public GpuTest {};

// Ours launch a kernel for every step of time, forward and backward; the copies around cuDNN's
// layer, and the loss, are a few.
TEST_F(GpuRecurrent, ALayerIsTheLibrarys) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    EXPECT_LT(step_by_cudnn(gpu(), dtype).launches, kSteps) << "cuDNN has refused " << dtype;
  }
}

// Nothing is written about the order in which cuDNN's usual algorithm adds.
TEST_F(GpuRecurrent, ALayerOfTheLibrarysGivesTheSameBitsTwice) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    EXPECT_EQ(step_by_cudnn(gpu(), dtype).values, step_by_cudnn(gpu(), dtype).values) << dtype;
  }
}

}  // namespace
}  // namespace trireme::testing
