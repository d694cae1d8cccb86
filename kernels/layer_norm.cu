// Layer normalisation and that by the root mean square, with and without a residual addition in
// front of them: the same kernels.
//
// A warp takes a row of up to 1024 columns; a thread keeps its 24 or 32 columns in registers, so
// everything is read once and written once. Longer rows are a block's, up to 8192 columns forward
// and 4096 backward. Backward a thread adds up its columns' shares of dgamma and dbeta in registers
// over all its rows, and one more small kernel adds the blocks' sums in a fixed order. Rows that
// are longer, or not aligned for a pack, are read three times, from the caches.
//
// Blocks stay for the whole kernel, as many as registers let run at once, and load a row while they
// work on the one before it: memory is busy in all their phases. By what it needs: 3.9 TB/s for 0.8
// us are 24 KB on their way into each of an H200's 132 multiprocessors. Per row of 768 columns in
// bf16 that is forward, 75 registers, 24 warps a multiprocessor, 2 x 1.5 KB each: 72 KB; backward,
// 165 registers, 12 warps, 3 x 1.5 KB each: 54 KB. Backward is some 770 instructions per row and
// warp: 65536 rows are 55 us of the schedulers' time beside 103 us for 402 MB at the speed of a
// copy. Expected: 90 % of a copy, 3.5 TB/s.

#include "kernels/layer_norm.h"

#include "kernels/cuda/norm_kernel.cuh"
#include "kernels/residual_layer_norm.h"

namespace trireme::kernels {

template <typename T>
void layer_norm(Cuda device, MatrixView<const T> x, const T* gamma, const T* beta, double eps,
                MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd) {
  launch_norm(mean ? "layer_norm" : "rms_norm", device,
              NormForward<T>{.x = x,
                             .branch = {},
                             .sum = {},
                             .gamma = gamma,
                             .beta = beta,
                             .eps = static_cast<Acc<T>>(eps),
                             .y = y,
                             .mean = mean,
                             .rstd = rstd});
}

template <typename T>
void layer_norm_backward(Cuda device, MatrixView<const T> x, const T* gamma, const Acc<T>* mean,
                         const Acc<T>* rstd, MatrixView<const T> dy, MatrixView<T> dx, T* dgamma,
                         T* dbeta) {
  launch_norm_backward(mean ? "layer_norm backward" : "rms_norm backward", device,
                       NormBackward<T>{.x = x,
                                       .gamma = gamma,
                                       .mean = mean,
                                       .rstd = rstd,
                                       .dy = dy,
                                       .dsum = {},
                                       .dx = dx,
                                       .dx_low = {}},
                       dgamma, dbeta);
}

template <typename T>
void residual_layer_norm(Cuda device, MatrixView<const T> x, MatrixView<const T> residual,
                         const T* gamma, const T* beta, double eps, MatrixView<T> sum,
                         MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd) {
  launch_norm(mean ? "residual_layer_norm" : "residual_rms_norm", device,
              NormForward<T>{.x = residual,
                             .branch = x,
                             .sum = sum,
                             .gamma = gamma,
                             .beta = beta,
                             .eps = static_cast<Acc<T>>(eps),
                             .y = y,
                             .mean = mean,
                             .rstd = rstd});
}

template <typename T>
void residual_layer_norm_backward(Cuda device, MatrixView<const T> sum, const T* gamma,
                                  const Acc<T>* mean, const Acc<T>* rstd, MatrixView<const T> dy,
                                  MatrixView<const T> dsum, MatrixView<T> dx, T* dgamma, T* dbeta) {
  launch_norm_backward(mean ? "residual_layer_norm backward" : "residual_rms_norm backward", device,
                       NormBackward<T>{.x = sum,
                                       .gamma = gamma,
                                       .mean = mean,
                                       .rstd = rstd,
                                       .dy = dy,
                                       .dsum = dsum,
                                       .dx = dx,
                                       .dx_low = {}},
                       dgamma, dbeta);
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
