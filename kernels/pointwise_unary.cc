#include "kernels/pointwise_loops.h"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(Fn) TRIREME_INSTANTIATE_FLOATING_MAP(Fn, 1)
TRIREME_UNARY_FUNCTORS(TRIREME_INSTANTIATE)

}  // namespace trireme::kernels
