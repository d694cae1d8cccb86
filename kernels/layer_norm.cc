#include "kernels/layer_norm.h"

#include "kernels/layer_norm_rows.h"
#include "kernels/stream_store.h"

namespace trireme::kernels {

template <typename T>
void layer_norm(Cpu, MatrixView<const T> x, const T* gamma, const T* beta, double eps,
                MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd) {
  each_row_into(y, [&](int64_t r, T* to) {
    normalise_row(x.row(r), x.cols, gamma, beta, eps, to, mean ? mean + r : nullptr, rstd + r);
  });
}

template <typename T>
void layer_norm_backward(Cpu, MatrixView<const T> x, const T* gamma, const Acc<T>* mean,
                         const Acc<T>* rstd, MatrixView<const T> dy, MatrixView<T> dx, T* dgamma,
                         T* dbeta) {
  NormGradient<T>{x, gamma, mean, rstd, dy, {}, dx, {}}.run(dgamma, dbeta);
}

#define TRIREME_INSTANTIATE(T)                                                                  \
  template void layer_norm(Cpu, MatrixView<const T>, const T*, const T*, double, MatrixView<T>, \
                           Acc<T>*, Acc<T>*);                                                   \
  template void layer_norm_backward(Cpu, MatrixView<const T>, const T*, const Acc<T>*,          \
                                    const Acc<T>*, MatrixView<const T>, MatrixView<T>, T*, T*)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
