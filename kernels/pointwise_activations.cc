// The activations and the elementwise parts of losses, forward and gradient.

#include "kernels/activation_functors.h"
#include "kernels/pointwise_loops.h"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(Fn)           \
  TRIREME_INSTANTIATE_FLOATING_MAP(Fn, 1) \
  TRIREME_INSTANTIATE_FLOATING_MAP(GradOf<Fn>, 2)
TRIREME_ACTIVATION_FUNCTORS(TRIREME_INSTANTIATE)
TRIREME_GATE_FUNCTORS(TRIREME_INSTANTIATE_FLOATING_MAP)

}  // namespace trireme::kernels
