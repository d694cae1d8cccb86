// Our own kernels, beside cuDNN's (kernels/pool2d_cuda.cc chooses): any window, adaptive ones too,
// the first of equal elements as on the CPU, and gradients in one order.
//
// One thread per 16 bytes of channels of one pixel of what is written (one channel where they are
// not a multiple), neighbouring threads neighbouring channels. Forward reads x once per window that
// holds it (overlaps come from cache) and writes y once, and a byte per element of where; backward
// reads dy (and where) once per pixel that a window holds, from cache, and writes dx once.

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pool_body.h"
#include "kernels/cuda/row_geometry.h"
#include "kernels/pool2d_own.h"

namespace trireme::kernels {
namespace {

template <typename T, template <typename, typename> typename Body, typename... Args>
void launch_pool(const char* op, Cuda device, const Pool2dGeometry& g, int64_t pixels,
                 bool is_packed, const Args&... args) {
  const int64_t count = pixels * g.channels;
  constexpr int W = kRowPack<T>;
  const bool packs = is_packed && g.channels % W == 0;
  const auto launch_with = [&](const auto& body) {
    if (packs) {
      launch_packs<W>(op, device, count, body);
    } else {
      launch_packs<1>(op, device, count, body);
    }
  };
  if (count <= INT32_MAX) {
    launch_with(Body<T, uint32_t>{g, args...});
  } else {
    launch_with(Body<T, uint64_t>{g, args...});
  }
}

/// The bodies of max pooling for places of a type.
template <typename Place>
struct WithPlace {
  template <typename T, typename Index>
  using Forward = MaxPoolBody<T, Index, Place>;
  template <typename T, typename Index>
  using Backward = MaxPoolBackwardBody<T, Index, Place>;
};

int64_t pixels_in(const Pool2dGeometry& g) { return g.batch * g.rows.size * g.cols.size; }
int64_t pixels_out(const Pool2dGeometry& g) { return g.batch * g.rows.out * g.cols.out; }

}  // namespace

namespace own {

template <typename T, typename Place>
void max_pool2d(Cuda device, const Pool2dGeometry& g, const T* x, T* y, Place* where) {
  constexpr int W = kRowPack<T>;
  launch_pool<T, WithPlace<Place>::template Forward>(
      "max_pool2d", device, g, pixels_out(g),
      are_packed<W>(x, static_cast<const T*>(y)) && is_aligned(where, 16), x, y, where);
}

template <typename T, typename Place>
void max_pool2d_backward(Cuda device, const Pool2dGeometry& g, const T* dy, const Place* where,
                         T* dx) {
  constexpr int W = kRowPack<T>;
  launch_pool<T, WithPlace<Place>::template Backward>(
      "max_pool2d", device, g, pixels_in(g),
      are_packed<W>(dy, static_cast<const T*>(dx)) && is_aligned(where, 16), dy, where, dx);
}

template <typename T>
void avg_pool2d(Cuda device, const Pool2dGeometry& g, const T* x, T* y) {
  constexpr int W = kRowPack<T>;
  launch_pool<T, AvgPoolBody>("avg_pool2d", device, g, pixels_out(g),
                              are_packed<W>(x, static_cast<const T*>(y)), x, y);
}

template <typename T>
void avg_pool2d_backward(Cuda device, const Pool2dGeometry& g, const T* dy, T* dx) {
  constexpr int W = kRowPack<T>;
  launch_pool<T, AvgPoolBackwardBody>("avg_pool2d", device, g, pixels_in(g),
                                      are_packed<W>(dy, static_cast<const T*>(dx)), dy, dx);
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

}  // namespace own
}  // namespace trireme::kernels
