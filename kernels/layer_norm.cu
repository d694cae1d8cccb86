// Layer normalisation and that by the root mean square, with and without a residual addition in
// front of them: the same kernels.
//
// Forward: a warp takes a row of up to 1024 columns, a block of up to 256 threads one of up to
// 8192; a thread keeps its 32 columns in registers, so x is read once and y written once (4 bytes
// per element in 16-bit types; expected 85 % of 4.3 TB/s on an H200). Backward: a warp a row of up
// to 1024 columns, a block of 128 one of up to 4096; x and dy are read once and dx written once (6
// bytes per element), and a thread adds up its columns' shares of dgamma and dbeta in registers
// over all its rows; one more small kernel adds the blocks' sums in a fixed order (expected 80
// %, 3.5 TB/s). Rows that are longer, or not aligned for 16 bytes, are read three times, from the
// caches.

#include "kernels/layer_norm.h"

#include "kernels/cuda/norm_kernel.cuh"
#include "kernels/residual_layer_norm.h"

namespace trireme::kernels {

namespace {

template <typename T>
void forward(const char* op, Cuda device, MatrixView<const T> x, MatrixView<const T> residual,
             MatrixView<T> sum, const T* gamma, const T* beta, double eps, MatrixView<T> y,
             Acc<T>* mean, Acc<T>* rstd) {
  constexpr int kW = kRowPack<T>;
  bool is_packed = rows_are_packed<kW>(x) && rows_are_packed<kW>(y) && are_packed<kW>(gamma, beta);
  if (residual.data) is_packed = is_packed && rows_are_packed<kW>(residual);
  if (residual.data) is_packed = is_packed && rows_are_packed<kW>(sum);
  const NormForward<T> n{.x = x.data,
                         .x_stride = x.row_stride,
                         .residual = residual.data,
                         .residual_stride = residual.row_stride,
                         .sum = sum.data,
                         .sum_stride = sum.row_stride,
                         .gamma = gamma,
                         .beta = beta,
                         .eps = static_cast<Acc<T>>(eps),
                         .y = y.data,
                         .y_stride = y.row_stride,
                         .mean = mean,
                         .rstd = rstd,
                         .rows = x.rows,
                         .cols = x.cols};
  launch_norm(op, device, n, is_packed);
}

template <typename T>
void backward(const char* op, Cuda device, MatrixView<const T> x, const T* gamma,
              const Acc<T>* mean, const Acc<T>* rstd, MatrixView<const T> dy,
              MatrixView<const T> dsum, MatrixView<T> dx, T* dgamma, T* dbeta) {
  constexpr int kW = kRowPack<T>;
  bool is_packed = rows_are_packed<kW>(x) && rows_are_packed<kW>(dy) && are_packed<kW>(gamma);
  if (dx.data) is_packed = is_packed && rows_are_packed<kW>(dx);
  if (dsum.data) is_packed = is_packed && rows_are_packed<kW>(dsum);
  const NormBackward<T> n{.x = x.data,
                          .x_stride = x.row_stride,
                          .gamma = gamma,
                          .mean = mean,
                          .rstd = rstd,
                          .dy = dy.data,
                          .dy_stride = dy.row_stride,
                          .dsum = dsum.data,
                          .dsum_stride = dsum.row_stride,
                          .dx = dx.data,
                          .dx_stride = dx.row_stride,
                          .rows = x.rows,
                          .cols = x.cols};
  launch_norm_backward(op, device, n, dgamma, dbeta, is_packed);
}

}  // namespace

template <typename T>
void layer_norm(Cuda device, MatrixView<const T> x, const T* gamma, const T* beta, double eps,
                MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd) {
  const MatrixView<T> none{};
  forward<T>(mean ? "layer_norm" : "rms_norm", device, x, none, none, gamma, beta, eps, y, mean,
             rstd);
}

template <typename T>
void layer_norm_backward(Cuda device, MatrixView<const T> x, const T* gamma, const Acc<T>* mean,
                         const Acc<T>* rstd, MatrixView<const T> dy, MatrixView<T> dx, T* dgamma,
                         T* dbeta) {
  backward<T>(mean ? "layer_norm backward" : "rms_norm backward", device, x, gamma, mean, rstd, dy,
              MatrixView<const T>{}, dx, dgamma, dbeta);
}

template <typename T>
void residual_layer_norm(Cuda device, MatrixView<const T> x, MatrixView<const T> residual,
                         const T* gamma, const T* beta, double eps, MatrixView<T> sum,
                         MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd) {
  forward<T>(mean ? "residual_layer_norm" : "residual_rms_norm", device, x, residual, sum, gamma,
             beta, eps, y, mean, rstd);
}

template <typename T>
void residual_layer_norm_backward(Cuda device, MatrixView<const T> sum, const T* gamma,
                                  const Acc<T>* mean, const Acc<T>* rstd, MatrixView<const T> dy,
                                  MatrixView<const T> dsum, MatrixView<T> dx, T* dgamma, T* dbeta) {
  backward<T>(mean ? "residual_layer_norm backward" : "residual_rms_norm backward", device, sum,
              gamma, mean, rstd, dy, dsum, dx, dgamma, dbeta);
}

#define TRIREME_INSTANTIATE(T)                                                                   \
  template void layer_norm(Cuda, MatrixView<const T>, const T*, const T*, double, MatrixView<T>, \
                           Acc<T>*, Acc<T>*);                                                    \
  template void layer_norm_backward(Cuda, MatrixView<const T>, const T*, const Acc<T>*,          \
                                    const Acc<T>*, MatrixView<const T>, MatrixView<T>, T*, T*);  \
  template void residual_layer_norm(Cuda, MatrixView<const T>, MatrixView<const T>, const T*,    \
                                    const T*, double, MatrixView<T>, MatrixView<T>, Acc<T>*,     \
                                    Acc<T>*);                                                    \
  template void residual_layer_norm_backward(Cuda, MatrixView<const T>, const T*, const Acc<T>*, \
                                             const Acc<T>*, MatrixView<const T>,                 \
                                             MatrixView<const T>, MatrixView<T>, T*, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
