#include "kernels/matmul_gelu.h"

#include "core/base/half.h"
#include "kernels/matmul_gelu_passes.h"

namespace trireme::kernels {

template <typename T>
void matmul_gelu(Cpu device, StridedView<const T> x, StridedView<const T> weight,
                 const std::type_identity_t<T>* bias, MatrixView<T> pre, MatrixView<T> y) {
  gelu_in_passes<T>(device, x, weight, bias, pre, y);
}

template <typename T>
void matmul_gelu_backward(Cpu device, StridedView<const T> dz, StridedView<const T> weight,
                          MatrixView<const T> pre, MatrixView<T> dpre,
                          std::type_identity_t<T>* dbias) {
  gelu_backward_in_passes<T>(device, dz, weight, pre, dpre, dbias);
}

#define TRIREME_INSTANTIATE(T)                                                         \
  template void matmul_gelu(Cpu, StridedView<const T>, StridedView<const T>, const T*, \
                            MatrixView<T>, MatrixView<T>);                             \
  template void matmul_gelu_backward(Cpu, StridedView<const T>, StridedView<const T>,  \
                                     MatrixView<const T>, MatrixView<T>, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
