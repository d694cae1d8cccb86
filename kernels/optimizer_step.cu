// One step of an optimizer over all parameters in one launch (two where there are more than 256
// arrays).
//
// A block takes 16,384 elements of one array, a thread 4 a step: 16 bytes of each f32 array. For
// AdamW, a bf16 parameter and its f32 master, 2 + 4 + 4 + 4 bytes are read and 2 + 4 + 4 + 4
// written per element; expected 85 % of 4.3 TB/s on an H200, 0.95 ms for 124 million parameters.
// The factor on the gradients (clipping, loss scale) is read on the device; 0 leaves everything as
// it was.

#include "kernels/cuda/multi_tensor.cuh"
#include "kernels/optimizer_rules.h"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE_FOR(Rule, T) \
  template void step_all(Cuda, const StepOptions&, const Rule&, std::span<const StepSpan<T>>)
#define TRIREME_INSTANTIATE(Rule)          \
  TRIREME_INSTANTIATE_FOR(Rule, float);    \
  TRIREME_INSTANTIATE_FOR(Rule, double);   \
  TRIREME_INSTANTIATE_FOR(Rule, BFloat16); \
  TRIREME_INSTANTIATE_FOR(Rule, Float16)
TRIREME_OPTIMIZER_RULES(TRIREME_INSTANTIATE);

}  // namespace trireme::kernels
