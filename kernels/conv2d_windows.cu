// One thread per element of what is written, neighbouring threads neighbouring channels, so that a
// warp reads and writes runs of memory wherever there are 32 channels. Elements are 2 to 8 bytes,
// one per step. Slow beside cuDNN, exact in any dtype and layout. Gathering reads each element of x
// once per window that holds it, from cache mostly, and writes kernel_h kernel_w elements per
// pixel and channel; the way back reads those and writes dx once.

#include "kernels/conv2d_windows.h"
#include "kernels/cuda/launch.cuh"

namespace trireme::kernels {
namespace {

template <typename T>
struct GatherBody {
  Windows2d w;
  const T* x;
  T* columns;
  template <int N>
  TRIREME_HD void run(int64_t i) const {
    const int64_t from = w.source_of(i);
    columns[i] = from < 0 ? T(0) : x[from];
  }
};

template <typename T>
struct SumBody {
  Windows2d w;
  const T* columns;
  T* dx;
  template <int N>
  TRIREME_HD void run(int64_t i) const {
    dx[w.place_of(i)] = static_cast<T>(w.gathered(i, columns));
  }
};

}  // namespace

template <typename T>
void gather_windows(Cuda device, const Windows2d& w, const T* x, T* columns) {
  launch_packs<1>("conv2d", device, w.pixels() * w.window(), GatherBody<T>{w, x, columns});
}

template <typename T>
void sum_windows(Cuda device, const Windows2d& w, const T* columns, T* dx) {
  launch_packs<1>("conv2d", device, w.images * w.g.height * w.g.width * w.channels,
                  SumBody<T>{w, columns, dx});
}

#define TRIREME_INSTANTIATE(T)                                        \
  template void gather_windows(Cuda, const Windows2d&, const T*, T*); \
  template void sum_windows(Cuda, const Windows2d&, const T*, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
