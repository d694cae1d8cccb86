// Arithmetic with a scalar and of two operands, integers too; see cuda/pointwise_map.cuh for what a
// thread does. 6 bytes per element of two 16-bit operands.

#include "kernels/cuda/pointwise_map.cuh"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(Fn, N)        \
  TRIREME_INSTANTIATE_FLOATING(Fn, N)     \
  TRIREME_INSTANTIATE_MAP(Fn, int64_t, N) \
  TRIREME_INSTANTIATE_MAP(Fn, int32_t, N)
TRIREME_ARITHMETIC_FUNCTORS(TRIREME_INSTANTIATE)
TRIREME_DIVISION_FUNCTORS(TRIREME_INSTANTIATE_FLOATING)

}  // namespace trireme::kernels
