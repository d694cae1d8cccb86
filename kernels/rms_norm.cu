// RMS normalisation: rows as in layer_norm.cu, a warp or a block each, held in registers where they
// are aligned, so x is read once and y written once (4 bytes per element in 16-bit types). Backward
// reads x and dy once for dx, and once more for the column sums of dgamma, which have a fixed
// order.

#include "kernels/rms_norm.h"

#include "kernels/cuda/norm_kernel.cuh"
#include "kernels/cuda/rms_norm_body.h"

namespace trireme::kernels {
namespace {

template <typename Store, int W, typename T>
struct RmsForwardBody {
  RmsForward<T> n;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    rms_norm_row<Store, W>(group, n, r);
  }
};

template <typename Store, int W, typename T>
struct RmsBackwardBody {
  RmsBackward<T> n;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    rms_norm_backward_row<Store, W>(group, n, r);
  }
};

/// Launches Body<Held, W> for rows that are aligned and short enough, else Body<Streamed, 1>.
template <template <typename, int, typename> typename Body, typename T, typename Rows>
void launch_rms(const char* op, Cuda device, const Rows& n, bool is_packed, int64_t most_held) {
  if (n.rows == 0) return;
  constexpr int kW = kRowPack<T>;
  if constexpr (kW > 1) {
    constexpr int kPacks = kHeldColumns / kW;
    if (is_packed && n.cols <= most_held) {
      const int group = threads_per_row(n.cols / kW, kPacks);
      return launch_rows(op, device, n.rows, group, Body<Held<kPacks>, kW, T>{n});
    }
  }
  launch_rows(op, device, n.rows, threads_per_row(n.cols, 8), Body<Streamed, 1, T>{n});
}

/// Terms of dgamma: dy xhat.
template <typename T>
struct RmsTerms {
  static constexpr int kSums = 1;
  RmsBackward<T> n;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[1][W]) const {
    Acc<T> dy[W];
    load_values<W>(n.x + r * n.x_stride + c, terms[0]);
    load_values<W>(n.dy + r * n.dy_stride + c, dy);
    for (int k = 0; k < W; ++k) terms[0][k] *= n.rstd[r] * dy[k];
  }
};

}  // namespace

template <typename T>
void rms_norm(Cuda device, MatrixView<const T> x, const T* gamma, double eps, MatrixView<T> y,
              Acc<T>* rstd) {
  constexpr int kW = kRowPack<T>;
  const bool is_packed = rows_are_packed<kW>(x) && rows_are_packed<kW>(y) && are_packed<kW>(gamma);
  const RmsForward<T> n{.x = x.data,
                        .x_stride = x.row_stride,
                        .gamma = gamma,
                        .eps = static_cast<Acc<T>>(eps),
                        .y = y.data,
                        .y_stride = y.row_stride,
                        .rstd = rstd,
                        .rows = x.rows,
                        .cols = x.cols};
  launch_rms<RmsForwardBody, T>("rms_norm", device, n, is_packed, kMostHeldForward);
}

template <typename T>
void rms_norm_backward(Cuda device, MatrixView<const T> x, const T* gamma, const Acc<T>* rstd,
                       MatrixView<const T> dy, MatrixView<T> dx, T* dgamma) {
  constexpr const char* kOp = "rms_norm backward";
  constexpr int kW = kRowPack<T>;
  const RmsBackward<T> n{.x = x.data,
                         .x_stride = x.row_stride,
                         .gamma = gamma,
                         .rstd = rstd,
                         .dy = dy.data,
                         .dy_stride = dy.row_stride,
                         .dx = dx.data,
                         .dx_stride = dx.row_stride,
                         .rows = x.rows,
                         .cols = x.cols};
  if (n.cols == 0) return;
  if (dx.data) {
    const bool is_packed = rows_are_packed<kW>(x) && rows_are_packed<kW>(dy) &&
                           rows_are_packed<kW>(dx) && are_packed<kW>(gamma);
    launch_rms<RmsBackwardBody, T>(kOp, device, n, is_packed, kMostHeldBackward);
  }
  if (dgamma) {
    launch_column_sums<1>(kOp, device, n.rows, n.cols, RmsTerms<T>{n},
                          ColumnResults<T, 1>{{dgamma}});
  }
}

#define TRIREME_INSTANTIATE(T)                                                                 \
  template void rms_norm(Cuda, MatrixView<const T>, const T*, double, MatrixView<T>, Acc<T>*); \
  template void rms_norm_backward(Cuda, MatrixView<const T>, const T*, const Acc<T>*,          \
                                  MatrixView<const T>, MatrixView<T>, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
