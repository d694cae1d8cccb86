// Queues one cuBLASLt product per matmul (one per matrix that adds up, where a batch sums without
// folding), and a copy of an operand that has no unit stride. 2 batch m n k FLOPs; a, b and c pass
// through memory about once each, so at 4.3 TB/s and 790 TFLOP/s a bf16 product is bound by
// arithmetic from m n k / (m k + k n + m n) = 180 on.

#include <array>
#include <memory>
#include <vector>

#include "core/base/settings.h"
#include "core/cuda/device.h"
#include "core/cuda/memory.h"
#include "kernels/cublas_matmul.h"
#include "kernels/matmul.h"
#include "kernels/matmul_call.h"

namespace trireme::kernels {
namespace {

/// run_matmul's engine on a stream.
class CudaEngine {
 public:
  explicit CudaEngine(Cuda device) : device_(device), library_(CublasMatmul::of(device.index)) {}

  void* allocate(int64_t bytes) {
    blocks_.push_back(std::make_unique<cuda::Workspace>(device_, bytes));
    return blocks_.back()->as<void>();
  }
  void copy(AnyView to, ConstAnyView from) { kernels::copy(device_, to, from); }
  void fill(AnyView to, double value) { kernels::fill(device_, to, value); }
  void multiply(const MatmulCall& call) { library_.run(call, device_.stream); }
  bool supports(const MatmulCall& call) { return library_.supports(call); }

 private:
  Cuda device_;
  CublasMatmul& library_;
  std::vector<std::unique_ptr<cuda::Workspace>> blocks_;
};

CublasOptions options_from_settings() {
  return {get_setting("TRIREME_ALLOW_TF32") == "1" ? Tf32::kAllowed : Tf32::kForbidden,
          get_setting("TRIREME_TUNE") == "on"};
}

}  // namespace

CublasMatmul& CublasMatmul::of(int index) {
  thread_local std::array<std::unique_ptr<CublasMatmul>, cuda::kMaxDevices> libraries;
  auto& library = libraries[static_cast<size_t>(index)];
  if (!library) {
    const CublasApi& api = cublas_api();
    LibraryDevice& device = library_device(index);
    library = std::make_unique<CublasMatmul>(api, device,
                                             MatmulAlgorithms::of(device.name(), api.GetVersion()),
                                             options_from_settings());
  }
  return *library;
}

template <typename T>
void matmul(Cuda device, StridedView<const T> a, StridedView<const T> b, StridedView<T> c,
            const std::type_identity_t<T>* bias, Write write) {
  CudaEngine engine(device);
  run_matmul(engine, a, b, c, bias, write);
}

#define TRIREME_INSTANTIATE(T)                                                                     \
  template void matmul(Cuda, StridedView<const T>, StridedView<const T>, StridedView<T>, const T*, \
                       Write)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
