#include <array>
#include <memory>

#include "core/base/settings.h"
#include "core/cuda/device.h"
#include "kernels/cudnn_library.h"

namespace trireme::kernels {

CudnnLibrary& CudnnLibrary::of(int index) {
  thread_local std::array<std::unique_ptr<CudnnLibrary>, cuda::kMaxDevices> libraries;
  auto& library = libraries[static_cast<size_t>(index)];
  if (!library) {
    library = std::make_unique<CudnnLibrary>(
        cudnn_api(), library_device(index),
        CudnnOptions{.tf32 = get_setting("TRIREME_ALLOW_TF32") == "1",
                     .tune = get_setting("TRIREME_TUNE") == "on",
                     .deterministic = get_setting("TRIREME_DETERMINISTIC") == "1"});
  }
  return *library;
}

}  // namespace trireme::kernels
