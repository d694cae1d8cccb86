#include "kernels/optimizer_loops.h"
#include "kernels/trust_rules.h"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE(T)                                                \
  template void trust_ratios(Cpu, const StepOptions&, const LambMomentsRule&, \
                             std::span<const StepSpan<T>>);                   \
  template void step_all(Cpu, const StepOptions&, const LambStepRule&,        \
                         std::span<const StepSpan<T>>);                       \
  template void trust_ratios(Cpu, const StepOptions&, const LarsNormsRule&,   \
                             std::span<const StepSpan<T>>);                   \
  template void step_all(Cpu, const StepOptions&, const LarsStepRule&, std::span<const StepSpan<T>>)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);

}  // namespace trireme::kernels
