#include "kernels/residual_layer_norm.h"

#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "kernels/simd.h"

namespace trireme::kernels {
namespace {

/// to = a + b.
template <typename T>
void add_row(const T* a, const T* b, T* to, int64_t cols) {
  each_vector<T>(
      cols, [&](int64_t i, auto part) { part.store(to + i, part.load(a + i) + part.load(b + i)); });
}

template <typename T>
MatrixView<T> single(MatrixView<T> x, int64_t r) {
  return {x.row(r), 1, x.cols, x.cols};
}

}  // namespace

template <typename T>
void residual_layer_norm(Cpu device, MatrixView<const T> x, MatrixView<const T> residual,
                         const T* gamma, const T* beta, double eps, MatrixView<T> sum,
                         MatrixView<T> y, Acc<T>* mean, Acc<T>* rstd) {
  // Row by row: the sum is normalised while it is in the cache.
  each_row(x.rows, x.cols, [&](int64_t r) {
    add_row(x.row(r), residual.row(r), sum.row(r), x.cols);
    layer_norm<T>(device, single(sum, r), gamma, beta, eps, single(y, r), mean + r, rstd + r);
  });
}

template <typename T>
void residual_layer_norm_backward(Cpu device, MatrixView<const T> sum, const T* gamma,
                                  const Acc<T>* mean, const Acc<T>* rstd, MatrixView<const T> dy,
                                  MatrixView<const T> dsum, MatrixView<T> dx, T* dgamma, T* dbeta) {
  layer_norm_backward<T>(device, sum, gamma, mean, rstd, dy, dx, dgamma, dbeta);
  if (!dsum.data) return;
  each_row(dx.rows, dx.cols,
           [&](int64_t r) { add_row<T>(dsum.row(r), dx.row(r), dx.row(r), dx.cols); });
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

}  // namespace trireme::kernels
