#include "kernels/pointwise_loops.h"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(Fn)                 \
  TRIREME_INSTANTIATE_MAP(GradOf<Fn>, float, 2) \
  TRIREME_INSTANTIATE_MAP(GradOf<Fn>, double, 2)
TRIREME_UNARY_FUNCTORS(TRIREME_INSTANTIATE)

TRIREME_INSTANTIATE_MAP(DivGradRhs, float, 3)
TRIREME_INSTANTIATE_MAP(DivGradRhs, double, 3)
TRIREME_INSTANTIATE_MAP(MaximumGrad, float, 3)
TRIREME_INSTANTIATE_MAP(MaximumGrad, double, 3)
TRIREME_INSTANTIATE_MAP(MinimumGrad, float, 3)
TRIREME_INSTANTIATE_MAP(MinimumGrad, double, 3)

}  // namespace trireme::kernels
