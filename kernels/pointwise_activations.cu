// The activations and the elementwise parts of losses; see cuda/pointwise_map.cuh for what a thread
// does. In 16-bit types forward moves 4 bytes per element, the gates 6, their gradients 8.

#include "kernels/activation_functors.h"
#include "kernels/cuda/pointwise_map.cuh"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(Fn)       \
  TRIREME_INSTANTIATE_FLOATING(Fn, 1) \
  TRIREME_INSTANTIATE_FLOATING(GradOf<Fn>, 2)
TRIREME_ACTIVATION_FUNCTORS(TRIREME_INSTANTIATE)
TRIREME_GATE_FUNCTORS(TRIREME_INSTANTIATE_FLOATING)

}  // namespace trireme::kernels
