#include "kernels/optimizer_loops.h"
#include "kernels/optimizer_rules.h"

namespace trireme::kernels {

#define TRIREME_INSTANTIATE_FOR(Rule, T) \
  template void step_all(Cpu, const StepOptions&, const Rule&, std::span<const StepSpan<T>>)
#define TRIREME_INSTANTIATE(Rule)          \
  TRIREME_INSTANTIATE_FOR(Rule, float);    \
  TRIREME_INSTANTIATE_FOR(Rule, double);   \
  TRIREME_INSTANTIATE_FOR(Rule, BFloat16); \
  TRIREME_INSTANTIATE_FOR(Rule, Float16)
TRIREME_OPTIMIZER_RULES(TRIREME_INSTANTIATE);

}  // namespace trireme::kernels
