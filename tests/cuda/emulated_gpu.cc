// Puts an emulated GPU behind the tests of a program, and libraries that compute on host memory:
// the fake device, the emulator (this program links the kernels that it runs), and the mocks of
// cuBLASLt and cuDNN, which compute what they are asked for.

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "core/cuda/stream.h"
#include "tests/cuda/emulator/emulator.h"
#include "tests/cuda/fake_device.h"
#include "tests/kernels/cublas_mock.h"
#include "tests/kernels/cudnn_interpreter.h"
#include "tests/kernels/cudnn_mock.h"

namespace trireme::testing {
namespace {

class EmulatedGpu : public ::testing::Environment {
 public:
  EmulatedGpu() {
    setenv("TRIREME_TEST_DEVICE", "cuda", 1);
    setenv("TRIREME_TUNE", "off", 1);  // nothing here has a speed
    setenv("TRIREME_CUDNN_OR_OWN", "cudnn", 0);
  }
  void SetUp() override {
    gpu_ = std::make_unique<Gpu>();
    emulator::set_queue(enqueue);
    gpu_->cublas.state().queue = [](cudaStream_t stream, std::function<cublasStatus_t()> product) {
      enqueue(stream, [product] { EXPECT_EQ(product(), CUBLAS_STATUS_SUCCESS); });
      return CUBLAS_STATUS_SUCCESS;
    };
    // A plan keeps its graph, and the library its plans.
    gpu_->cudnn.state().execute = [](const CudnnDescribed& graph,
                                     const std::map<int64_t, void*>& memory) {
      enqueue(cuda::current_stream(0), [&graph, memory] { interpret(graph, memory); });
    };
    gpu_->cudnn.state().queue = [](std::function<void()> work) {
      enqueue(cuda::current_stream(0), std::move(work));
    };
  }
  void TearDown() override {
    EXPECT_GT(emulator::grids_run(), 0) << "no kernel ran";
    cuda::synchronize(0);  // throws what a kernel has reported
    EXPECT_EQ(gpu_->cudnn.state().complaint, "");
  }

 private:
  struct Gpu {
    FakeDeviceGuard device;
    CublasMock cublas;
    CudnnMock cudnn;
    kernels::ScopedCublasApi cublas_api{cublas.api()};
    kernels::ScopedCudnnApi cudnn_api{cudnn.api()};
  };
  std::unique_ptr<Gpu> gpu_;
};

[[maybe_unused]] const auto* const kGpu = ::testing::AddGlobalTestEnvironment(new EmulatedGpu);

}  // namespace
}  // namespace trireme::testing
