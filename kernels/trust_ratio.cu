// LAMB and LARS over all parameters: three kernels, whatever the number of tensors.
//
// The first reads what a rule measures once, a block 16,384 elements of one tensor, and leaves two
// sums per block; the second, a block per tensor, adds them in order and writes the trust ratio;
// the third steps. LAMB in f32: 16 bytes read and 8 written per element, then 12 and 4; LARS 8,
// then 12 and 8. Nobody waits for the ratios.

#include "kernels/cuda/multi_tensor.cuh"
#include "kernels/trust_rules.h"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(T)                                                 \
  template void trust_ratios(Cuda, const StepOptions&, const LambMomentsRule&, \
                             std::span<const StepSpan<T>>);                    \
  template void step_all(Cuda, const StepOptions&, const LambStepRule&,        \
                         std::span<const StepSpan<T>>);                        \
  template void trust_ratios(Cuda, const StepOptions&, const LarsNormsRule&,   \
                             std::span<const StepSpan<T>>);                    \
  template void step_all(Cuda, const StepOptions&, const LarsStepRule&,        \
                         std::span<const StepSpan<T>>)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);

}  // namespace trireme::kernels
