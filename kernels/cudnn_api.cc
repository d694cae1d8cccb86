#include "kernels/cudnn_api.h"

#include <array>
#include <utility>

#include "core/base/shared_library.h"

namespace trireme::kernels {
namespace {

// The first version whose attention takes any sequence length without a padding mask of ours.
constexpr size_t kOldestVersion = 91600;

CudnnApi load() {
  const SharedLibrary library("cuDNN 9", {"libcudnn.so.9", "/usr/local/cuda/lib64/libcudnn.so.9"});
  CudnnApi api;
#define TRIREME_FIND(name) \
  api.name = library.symbol<std::remove_pointer_t<decltype(api.name)>>("cudnn" #name);
  TRIREME_CUDNN_FUNCTIONS(TRIREME_FIND)
#undef TRIREME_FIND
  if (const size_t version = api.GetVersion(); version < kOldestVersion) {
    throw CudaError(concat("cudnn: needs version ", kOldestVersion, " or later, found ", version,
                           "; install a newer cuDNN 9"));
  }
  return api;
}

const CudnnApi* replacement = nullptr;  // of a test

}  // namespace

const CudnnApi& cudnn_api() {
  if (replacement) return *replacement;
  static const CudnnApi api = load();
  return api;
}

ScopedCudnnApi::ScopedCudnnApi(const CudnnApi& table)
    : before_(std::exchange(replacement, &table)) {}
ScopedCudnnApi::~ScopedCudnnApi() { replacement = before_; }

bool is_unsupported(cudnnStatus_t status) {
  return CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED;
}

void check_cudnn(const CudnnApi& api, const char* op, const std::string& what,
                 cudnnStatus_t status) {
  if (status == CUDNN_STATUS_SUCCESS) [[likely]] {
    return;
  }
  std::string advice =
      "no NVIDIA driver or GPU can be used here; run trireme doctor, or use "
      "--device cpu";
  if (status != CUDNN_STATUS_NOT_INITIALIZED) {
    std::array<char, 512> last{};
    api.GetLastErrorString(last.data(), last.size());
    advice = last[0] ? concat("cuDNN says: ", last.data()) : "set CUDNN_LOGLEVEL_DBG=2 to see why";
  }
  const std::string message =
      concat(op, ": ", what, " failed, ", api.GetErrorString(status), "; ", advice);
  if (is_unsupported(status)) throw CudnnUnsupported(message);
  throw CudaError(message);
}

}  // namespace trireme::kernels
