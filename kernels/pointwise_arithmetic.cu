// Arithmetic with a scalar and of two operands, integers too; see cuda/pointwise_map.cuh for what a
// thread does. 6 bytes per element of two 16-bit operands.

#include "kernels/cuda/pointwise_map.cuh"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(Fn, N)        \
  TRIREME_INSTANTIATE_FLOATING(Fn, N)     \
  TRIREME_INSTANTIATE_MAP(Fn, int64_t, N) \
  TRIREME_INSTANTIATE_MAP(Fn, int32_t, N)
TRIREME_INSTANTIATE(AddScalar, 1)
TRIREME_INSTANTIATE(MulScalar, 1)
TRIREME_INSTANTIATE(Add, 2)
TRIREME_INSTANTIATE(Sub, 2)
TRIREME_INSTANTIATE(Mul, 2)
TRIREME_INSTANTIATE(Maximum, 2)
TRIREME_INSTANTIATE(Minimum, 2)
TRIREME_INSTANTIATE_FLOATING(DivScalar, 1)
TRIREME_INSTANTIATE_FLOATING(Div, 2)

}  // namespace trireme::kernels
