#include "kernels/pointwise_loops.h"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(Fn, N)        \
  TRIREME_INSTANTIATE_MAP(Fn, float, N)   \
  TRIREME_INSTANTIATE_MAP(Fn, double, N)  \
  TRIREME_INSTANTIATE_MAP(Fn, int64_t, N) \
  TRIREME_INSTANTIATE_MAP(Fn, int32_t, N)
TRIREME_INSTANTIATE(AddScalar, 1)
TRIREME_INSTANTIATE(MulScalar, 1)
TRIREME_INSTANTIATE(Add, 2)
TRIREME_INSTANTIATE(Sub, 2)
TRIREME_INSTANTIATE(Mul, 2)
TRIREME_INSTANTIATE(Maximum, 2)
TRIREME_INSTANTIATE(Minimum, 2)
TRIREME_INSTANTIATE_MAP(DivScalar, float, 1)
TRIREME_INSTANTIATE_MAP(DivScalar, double, 1)
TRIREME_INSTANTIATE_MAP(Div, float, 2)
TRIREME_INSTANTIATE_MAP(Div, double, 2)

}  // namespace trireme::kernels
