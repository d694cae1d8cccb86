// The unary functors; see cuda/pointwise_map.cuh for what a thread does. 4 bytes per element in
// 16-bit types.

#include "kernels/cuda/pointwise_map.cuh"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(Fn) TRIREME_INSTANTIATE_FLOATING(Fn, 1)
TRIREME_UNARY_FUNCTORS(TRIREME_INSTANTIATE)

}  // namespace trireme::kernels
