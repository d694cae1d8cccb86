#include <array>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/settings.h"
#include "core/cuda/device.h"
#include "kernels/cudnn_library.h"

namespace trireme::kernels {
namespace {

CudnnUse parse_use(const std::string& text) {
  return text == "own" ? CudnnUse::kOwn : text == "cudnn" ? CudnnUse::kCudnn : CudnnUse::kFastest;
}

/// Read once, as all options are.
CudnnUse cudnn_or_own() {
  thread_local const CudnnUse use = parse_use(get_setting("TRIREME_CUDNN_OR_OWN"));
  return use;
}

}  // namespace

CudnnLibrary& CudnnLibrary::of(int index) {
  thread_local std::array<std::unique_ptr<CudnnLibrary>, cuda::kMaxDevices> libraries;
  auto& library = libraries[static_cast<size_t>(index)];
  if (!library) {
    library = std::make_unique<CudnnLibrary>(
        cudnn_api(), library_device(index),
        CudnnOptions{.tf32 = get_setting("TRIREME_ALLOW_TF32") == "1",
                     .tune = get_setting("TRIREME_TUNE") == "on",
                     .deterministic = get_setting("TRIREME_DETERMINISTIC") == "1",
                     .cudnn_or_own = cudnn_or_own()});
  }
  return *library;
}

CudnnLibrary* CudnnLibrary::find(int index) {
  thread_local bool is_missing = false;
  if (is_missing || cudnn_or_own() == CudnnUse::kOwn) return nullptr;
  try {
    return &of(index);
  } catch (const CudaError& error) {
    is_missing = true;
    log_info("batch norm, pooling and recurrent layers use our own kernels: ", error.what());
    return nullptr;
  }
}

}  // namespace trireme::kernels
