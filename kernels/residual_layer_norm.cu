// The residual addition and the norm behind it between products of 16 bits: the kernels of
// layer_norm.cu with two types, an f32 stream and what the products write and read.
//
// Per element forward reads 2 + 4 bytes and writes 4 + 2, backward reads 4 + 2 + 4 and writes 4
// + 2. A pack is 4 columns, 16 bytes of the stream and 8 of the products', so that neighbouring
// threads of a warp access neighbouring bytes of both.

#include "kernels/residual_layer_norm.h"

#include "kernels/cuda/norm_kernel.cuh"

namespace trireme::kernels {

template <typename Low>
void residual_layer_norm_between(Cuda device, MatrixView<const Low> x,
                                 MatrixView<const float> residual, const float* gamma,
                                 const float* beta, double eps, MatrixView<float> sum,
                                 MatrixView<Low> y, float* mean, float* rstd) {
  launch_norm(mean ? "residual_layer_norm" : "residual_rms_norm", device,
              NormForward<float, Low>{.x = residual,
                                      .branch = x,
                                      .sum = sum,
                                      .gamma = gamma,
                                      .beta = beta,
                                      .eps = static_cast<float>(eps),
                                      .y = y,
                                      .mean = mean,
                                      .rstd = rstd});
}

template <typename Low>
void residual_layer_norm_between_backward(Cuda device, MatrixView<const float> sum,
                                          const float* gamma, const float* mean, const float* rstd,
                                          MatrixView<const Low> dy, MatrixView<const float> dsum,
                                          MatrixView<float> dx, MatrixView<Low> dx_low,
                                          float* dgamma, float* dbeta) {
  launch_norm_backward(mean ? "residual_layer_norm backward" : "residual_rms_norm backward", device,
                       NormBackward<float, Low>{.x = sum,
                                                .gamma = gamma,
                                                .mean = mean,
                                                .rstd = rstd,
                                                .dy = dy,
                                                .dsum = dsum,
                                                .dx = dx,
                                                .dx_low = dx_low},
                       dgamma, dbeta);
}

#define TRIREME_INSTANTIATE(Low)                                                                   \
  template void residual_layer_norm_between(Cuda, MatrixView<const Low>, MatrixView<const float>,  \
                                            const float*, const float*, double, MatrixView<float>, \
                                            MatrixView<Low>, float*, float*);                      \
  template void residual_layer_norm_between_backward(                                              \
      Cuda, MatrixView<const float>, const float*, const float*, const float*,                     \
      MatrixView<const Low>, MatrixView<const float>, MatrixView<float>, MatrixView<Low>, float*,  \
      float*)
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
