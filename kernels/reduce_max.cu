// The largest or smallest element along a dimension, and the gradient.
//
// Along the last dimension a warp up to a block takes a row, along another a thread a column. x is
// read once: expected 60 % of 4.3 TB/s on an H200 (elements one by one, two instructions an
// exchange). The gradient is written in one pass: each element of dx looks up whether it was the
// largest.

#include "kernels/cuda/launch_rows.cuh"
#include "kernels/cuda/max_body.h"
#include "kernels/reduce.h"

namespace trireme::kernels {
namespace {

template <Extremum kWanted, typename T>
struct ExtremumRowBody {
  const T* x;
  int64_t n;
  T* values;
  int64_t* indices;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    const auto best = best_of<kWanted>(group, x + r * n, n, 1);
    if (group.rank() != 0) return;
    indices[r] = best.index;
    if (values) values[r] = x[r * n + best.index];
  }
};

template <Extremum kWanted, typename T>
struct ExtremumColumnBody {
  const T* x;
  int64_t n, inner;
  T* values;
  int64_t* indices;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    const int64_t outer = i / inner;
    const T* from = x + outer * n * inner + (i - outer * inner);
    const auto best = best_of<kWanted>(SerialGroup{}, from, n, inner);
    indices[i] = best.index;
    if (values) values[i] = from[best.index * inner];
  }
};

template <typename T>
struct ScatterBody {
  const T* dy;
  const int64_t* indices;
  int64_t n, inner;
  T* dx;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    dx[i] = scattered(dy, indices, n, inner, i);
  }
};

template <Extremum kWanted, typename T>
void extremum_along(const char* op, Cuda device, const T* x, int64_t outer, int64_t n,
                    int64_t inner, T* values, int64_t* indices) {
  if (inner == 1) {
    return launch_rows(op, device, outer, threads_per_row(n, 8),
                       ExtremumRowBody<kWanted, T>{x, n, values, indices});
  }
  launch_packs<1>(op, device, outer * inner,
                  ExtremumColumnBody<kWanted, T>{x, n, inner, values, indices});
}

}  // namespace

template <typename T>
void max_along(Cuda device, const T* x, int64_t outer, int64_t n, int64_t inner, T* values,
               int64_t* indices) {
  extremum_along<Extremum::kLargest>("max", device, x, outer, n, inner, values, indices);
}

template <typename T>
void min_along(Cuda device, const T* x, int64_t outer, int64_t n, int64_t inner, int64_t* indices) {
  extremum_along<Extremum::kSmallest>("min", device, x, outer, n, inner, static_cast<T*>(nullptr),
                                      indices);
}

template <typename T>
void scatter_along(Cuda device, const T* dy, const int64_t* indices, int64_t outer, int64_t n,
                   int64_t inner, T* dx) {
  launch_packs<1>("max backward", device, outer * n * inner,
                  ScatterBody<T>{dy, indices, n, inner, dx});
}

#define TRIREME_INSTANTIATE(T)                                                      \
  template void max_along(Cuda, const T*, int64_t, int64_t, int64_t, T*, int64_t*); \
  template void min_along(Cuda, const T*, int64_t, int64_t, int64_t, int64_t*);
TRIREME_INSTANTIATE(double)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
TRIREME_INSTANTIATE(int64_t)
TRIREME_INSTANTIATE(int32_t)
TRIREME_INSTANTIATE(uint8_t)
TRIREME_INSTANTIATE(bool)
#undef TRIREME_INSTANTIATE
#define TRIREME_INSTANTIATE(T) \
  template void scatter_along(Cuda, const T*, const int64_t*, int64_t, int64_t, int64_t, T*);
TRIREME_INSTANTIATE(double)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
