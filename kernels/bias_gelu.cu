// Bias and gelu.
//
// Forward: a warp or block a row, 16 bytes a thread and step; 4 bytes per element in 16-bit types,
// expected 85 % of 4.3 TB/s on an H200. Backward: as a sum over rows (cuda/column_geometry.h) whose
// terms are written as dx on the way, so that the bias's gradient costs no read of its own: 6 bytes
// per element, expected 80 %.

#include "kernels/bias_gelu.h"

#include "kernels/cuda/bias_gelu_body.h"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/launch_rows.cuh"
#include "kernels/cuda/row.h"

namespace trireme::kernels {
namespace {

template <int W, typename T>
struct ForwardBody {
  BiasGelu<T> pack;
  int64_t cols;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    Streamed::each<W>(group, cols, [&](int, int64_t c) { pack.template operator()<W>(r, c); });
  }
};

}  // namespace

template <typename T>
void bias_gelu(Cuda device, MatrixView<const T> x, const T* bias, MatrixView<T> y) {
  const BiasGelu<T> pack{x.data, x.row_stride, bias, y.data, y.row_stride};
  if constexpr (kRowPack < T >> 1) {
    constexpr int kW = kRowPack<T>;
    if (rows_are_packed<kW>(x) && rows_are_packed<kW>(y) && are_packed<kW>(bias)) {
      return launch_rows("bias_gelu", device, x.rows, threads_per_row(x.cols / kW, 2),
                         ForwardBody<kW, T>{pack, x.cols});
    }
  }
  launch_rows("bias_gelu", device, x.rows, threads_per_row(x.cols, 4),
              ForwardBody<1, T>{pack, x.cols});
}

template <typename T>
void bias_gelu_backward(Cuda device, MatrixView<const T> x, const T* bias, MatrixView<const T> dy,
                        MatrixView<T> dx, T* dbias) {
  if (x.cols == 0) return;
  const BiasGeluBackward<T> terms{x.data,        x.row_stride, bias,         dy.data,
                                  dy.row_stride, dx.data,      dx.row_stride};
  const ColumnResults<T, 1> results{{dbias}};
  constexpr const char* kOp = "bias_gelu backward";
  if constexpr (kRowPack < T >> 1) {
    constexpr int kW = kRowPack<T>;
    if (rows_are_packed<kW>(x) && rows_are_packed<kW>(dy) && rows_are_packed<kW>(dx) &&
        are_packed<kW>(bias)) {
      return launch_column_sums<kW>(kOp, device, x.rows, x.cols, terms, results);
    }
  }
  launch_column_sums<1>(kOp, device, x.rows, x.cols, terms, results);
}

#define TRIREME_INSTANTIATE(T)                                                               \
  template void bias_gelu(Cuda, MatrixView<const T>, const T*, MatrixView<T>);               \
  template void bias_gelu_backward(Cuda, MatrixView<const T>, const T*, MatrixView<const T>, \
                                   MatrixView<T>, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
