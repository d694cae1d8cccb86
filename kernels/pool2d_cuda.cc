// Queues one kernel of cuDNN's or of our own (kernels/pool2d.cu), whichever is faster for the
// shape: both read and write every element about once, so what decides is how well each keeps
// memory busy. Places mean the same to both, so that the gradient may be computed by the other.

#include <type_traits>

#include "kernels/cudnn_or_own.h"
#include "kernels/cudnn_pool2d.h"
#include "kernels/pool2d_own.h"

namespace trireme::kernels {
namespace {

/// True if cuDNN has done it.
template <typename T>
bool run_cudnn(Cuda device, CudnnPool2d pool, const T* x, const T* y, const void* where,
               const std::function<void()>& rival) {
  const Pool2dGeometry& g = pool.g;
  if constexpr (std::is_same_v<T, double>) return false;
  // cuDNN 9.19 on an H200 takes the mean of bf16 images and writes something else.
  const bool is_mean = pool.kind == CudnnPool::kAverage && !pool.is_gradient;
  if (is_mean && std::is_same_v<T, BFloat16>) return false;
  if (g.batch == 0 || g.channels == 0 || g.rows.adaptive || g.cols.adaptive) return false;
  if (common_alignment(x, y, static_cast<const char*>(where)) < 16) return false;
  pool.type = cudnn_type<T>;
  return run_cudnn_unless_slower<T>(
      device, key_of_pool2d(pool),
      [&](const CudnnLibrary& library, const CudnnFilter& filter) {
        return build_pool2d(library.graph("pool2d"), pool, filter);
      },
      {x, y, where}, rival);
}

template <typename Place>
constexpr cudnnDataType_t kPlaceType = sizeof(Place) == 1 ? CUDNN_DATA_INT8 : CUDNN_DATA_INT32;

}  // namespace

template <typename T, typename Place>
void max_pool2d(Cuda device, const Pool2dGeometry& g, const T* x, T* y, Place* where) {
  const auto ours = [&] { own::max_pool2d(device, g, x, y, where); };
  const CudnnPool2d pool{CudnnPool::kMax, false, g, {}, kPlaceType<Place>};
  if (!run_cudnn(device, pool, x, static_cast<const T*>(y), where, ours)) ours();
}

template <typename T, typename Place>
void max_pool2d_backward(Cuda device, const Pool2dGeometry& g, const T* dy, const Place* where,
                         T* dx) {
  const auto ours = [&] { own::max_pool2d_backward(device, g, dy, where, dx); };
  const CudnnPool2d pool{CudnnPool::kMax, true, g, {}, kPlaceType<Place>};
  if (!run_cudnn(device, pool, static_cast<const T*>(dx), dy, where, ours)) ours();
}

template <typename T>
void avg_pool2d(Cuda device, const Pool2dGeometry& g, const T* x, T* y) {
  const auto ours = [&] { own::avg_pool2d(device, g, x, y); };
  const CudnnPool2d pool{CudnnPool::kAverage, false, g, {}, {}};
  if (!run_cudnn(device, pool, x, static_cast<const T*>(y), nullptr, ours)) ours();
}

template <typename T>
void avg_pool2d_backward(Cuda device, const Pool2dGeometry& g, const T* dy, T* dx) {
  const auto ours = [&] { own::avg_pool2d_backward(device, g, dy, dx); };
  const CudnnPool2d pool{CudnnPool::kAverage, true, g, {}, {}};
  if (!run_cudnn(device, pool, static_cast<const T*>(dx), dy, nullptr, ours)) ours();
}

#define TRIREME_INSTANTIATE_PLACE(T, Place)                                    \
  template void max_pool2d(Cuda, const Pool2dGeometry&, const T*, T*, Place*); \
  template void max_pool2d_backward(Cuda, const Pool2dGeometry&, const T*, const Place*, T*)
#define TRIREME_INSTANTIATE(T)                                         \
  TRIREME_INSTANTIATE_PLACE(T, uint8_t);                               \
  TRIREME_INSTANTIATE_PLACE(T, int32_t);                               \
  template void avg_pool2d(Cuda, const Pool2dGeometry&, const T*, T*); \
  template void avg_pool2d_backward(Cuda, const Pool2dGeometry&, const T*, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE
#undef TRIREME_INSTANTIATE_PLACE

}  // namespace trireme::kernels
