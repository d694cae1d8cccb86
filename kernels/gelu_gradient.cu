// The gradient of gelu and of the bias in front of it.
//
// A sum over rows (cuda/column_geometry.h) whose terms are written as dx on the way, so that the
// bias's gradient costs no read of its own: 6 bytes per element in 16-bit types, expected 80 % of
// 4.3 TB/s on an H200. Three rows of x and dy are on their way ahead of each of an SM's 1,024
// threads: 98 KB, where 33 KB hide the latency. 25 instructions an element take 180 us for 201 M of
// them, their bytes 350 us.

#include "kernels/gelu_gradient.h"

#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/gelu_gradient_body.h"
#include "kernels/cuda/row.h"
#include "kernels/cuda/row_geometry.h"

namespace trireme::kernels {

template <typename T>
void gelu_bias_gradient(Cuda device, MatrixView<const T> x, MatrixView<const T> dy,
                        MatrixView<T> dx, T* dbias) {
  if (x.cols == 0) return;
  const GeluGradientTerms<T> terms{x.data, dy.data, dx.data, x.cols};
  const ColumnResults<T, 1> results{{dbias}};
  constexpr const char* kOp = "gelu backward";
  if constexpr (kRowPack < T >> 1) {
    constexpr int kW = kRowPack<T>;
    if (rows_are_packed<kW>(x) && rows_are_packed<kW>(dy) && rows_are_packed<kW>(dx)) {
      return launch_column_sums<kW>(kOp, device, x.rows, x.cols, terms, results);
    }
  }
  launch_column_sums<1>(kOp, device, x.rows, x.cols, terms, results);
}

#define TRIREME_INSTANTIATE(T)                                                                    \
  template void gelu_bias_gradient(Cuda, MatrixView<const T>, MatrixView<const T>, MatrixView<T>, \
                                   T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
