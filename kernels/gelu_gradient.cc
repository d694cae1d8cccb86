#include "kernels/gelu_gradient.h"

#include <array>

#include "core/base/half.h"
#include "kernels/functors.h"
#include "kernels/matmul.h"
#include "kernels/pointwise.h"

namespace trireme::kernels {

template <typename T>
void gelu_bias_gradient(Cpu device, MatrixView<const T> x, MatrixView<const T> dy, MatrixView<T> dx,
                        T* dbias) {
  map(device, GradOf<GeluTanh>{}, std::array<const T*, 2>{dy.data, x.data}, dx.data,
      x.rows * x.cols);
  column_sums<T>(device, dx, dbias);
}

#define TRIREME_INSTANTIATE(T) \
  template void gelu_bias_gradient(Cpu, MatrixView<const T>, MatrixView<const T>, MatrixView<T>, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
