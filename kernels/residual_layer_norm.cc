#include "kernels/residual_layer_norm.h"

#include "kernels/layer_norm_rows.h"
#include "kernels/stream_store.h"

namespace trireme::kernels {

namespace {

template <typename T, typename Low>
void add_and_normalise(MatrixView<const Low> x, MatrixView<const T> residual, const T* gamma,
                       const T* beta, double eps, MatrixView<T> sum, MatrixView<Low> y,
                       Acc<T>* mean, Acc<T>* rstd) {
  // Row by row: the sum is normalised while it is in the cache.
  each_row_into(y, [&](int64_t r, Low* normalised) {
    const Low* branch = x.row(r);
    const T* carried = residual.row(r);
    T* to = sum.row(r);
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      part.store(to + i, part.load(branch + i) + part.load(carried + i));
    });
    normalise_row(to, x.cols, gamma, beta, eps, normalised, mean ? mean + r : nullptr, rstd + r);
  });
}

}  // namespace

template <typename T>
void residual_layer_norm(Cpu, MatrixView<const T> x, MatrixView<const T> residual, const T* gamma,
                         const T* beta, double eps, MatrixView<T> sum, MatrixView<T> y,
                         Acc<T>* mean, Acc<T>* rstd) {
  add_and_normalise<T, T>(x, residual, gamma, beta, eps, sum, y, mean, rstd);
}

template <typename T>
void residual_layer_norm_backward(Cpu, MatrixView<const T> sum, const T* gamma, const Acc<T>* mean,
                                  const Acc<T>* rstd, MatrixView<const T> dy,
                                  MatrixView<const T> dsum, MatrixView<T> dx, T* dgamma, T* dbeta) {
  NormGradient<T>{sum, gamma, mean, rstd, dy, dsum, dx, {}}.run(dgamma, dbeta);
}

template <typename Low>
void residual_layer_norm_between(Cpu, MatrixView<const Low> x, MatrixView<const float> residual,
                                 const float* gamma, const float* beta, double eps,
                                 MatrixView<float> sum, MatrixView<Low> y, float* mean,
                                 float* rstd) {
  add_and_normalise<float, Low>(x, residual, gamma, beta, eps, sum, y, mean, rstd);
}

template <typename Low>
void residual_layer_norm_between_backward(Cpu, MatrixView<const float> sum, const float* gamma,
                                          const float* mean, const float* rstd,
                                          MatrixView<const Low> dy, MatrixView<const float> dsum,
                                          MatrixView<float> dx, MatrixView<Low> dx_low,
                                          float* dgamma, float* dbeta) {
  NormGradient<float, Low>{sum, gamma, mean, rstd, dy, dsum, dx, dx_low}.run(dgamma, dbeta);
}

#define TRIREME_INSTANTIATE(T)                                                                  \
  template void residual_layer_norm(Cpu, MatrixView<const T>, MatrixView<const T>, const T*,    \
                                    const T*, double, MatrixView<T>, MatrixView<T>, Acc<T>*,    \
                                    Acc<T>*);                                                   \
  template void residual_layer_norm_backward(Cpu, MatrixView<const T>, const T*, const Acc<T>*, \
                                             const Acc<T>*, MatrixView<const T>,                \
                                             MatrixView<const T>, MatrixView<T>, T*, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

#define TRIREME_INSTANTIATE(Low)                                                                   \
  template void residual_layer_norm_between(Cpu, MatrixView<const Low>, MatrixView<const float>,   \
                                            const float*, const float*, double, MatrixView<float>, \
                                            MatrixView<Low>, float*, float*);                      \
  template void residual_layer_norm_between_backward(                                              \
      Cpu, MatrixView<const float>, const float*, const float*, const float*,                      \
      MatrixView<const Low>, MatrixView<const float>, MatrixView<float>, MatrixView<Low>, float*,  \
      float*)
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
