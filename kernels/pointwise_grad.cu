// Gradients of the unary functors, and of division, maximum and minimum; see cuda/pointwise_map.cuh
// for what a thread does. 6 bytes per element in 16-bit types.

#include "kernels/cuda/pointwise_map.cuh"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(Fn) TRIREME_INSTANTIATE_FLOATING(GradOf<Fn>, 2)
TRIREME_UNARY_FUNCTORS(TRIREME_INSTANTIATE)

TRIREME_INSTANTIATE_FLOATING(DivGradRhs, 3)
TRIREME_INSTANTIATE_FLOATING(MaximumGrad, 3)
TRIREME_INSTANTIATE_FLOATING(MinimumGrad, 3)

}  // namespace trireme::kernels
