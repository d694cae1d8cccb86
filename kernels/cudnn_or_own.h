// What both cuDNN and our own kernels can compute, by whoever is to do it.

#pragma once

#include <functional>
#include <initializer_list>

#include "core/base/device_tag.h"
#include "kernels/cudnn_library.h"
#include "kernels/cudnn_types.h"

namespace trireme::kernels {

/// CudnnLibrary::run_unless_slower on `device`; false where there is no cuDNN. build(library,
/// filter) makes the graph; kernels that round f32 or add in any order are refused as elsewhere.
template <typename T>
bool run_cudnn_unless_slower(
    Cuda device, const CudnnKey& key,
    const std::function<CudnnBuilt(const CudnnLibrary&, const CudnnFilter&)>& build,
    std::initializer_list<const void*> pointers, const std::function<void()>& rival) {
  constexpr int kCandidates = 3;  // cuDNN's guesses that are timed; each may have to be compiled
  CudnnLibrary* library = CudnnLibrary::find(device.index);
  if (!library) return false;
  const CudnnFilter filter{
      .deterministic = library->options().deterministic,
      .exact_f32 = cudnn_type<T> == CUDNN_DATA_FLOAT && !library->options().tf32,
      .most = kCandidates};
  return library->run_unless_slower(
      key, [&] { return build(*library, filter); }, pointers, device.stream, rival);
}

}  // namespace trireme::kernels
