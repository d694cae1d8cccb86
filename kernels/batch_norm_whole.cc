#include "kernels/batch_norm_whole.h"

#include "kernels/batch_norm_passes.h"

namespace trireme::kernels {

template <typename T>
void batch_norm_step(Cpu device, const BatchNormStep<T>& step,
                     const RunningMoments<Acc<T>>& running) {
  run_passes(device, step, running);
}

template <typename T>
void batch_norm_gradient(Cpu device, const BatchNormGradient<T>& gradient) {
  run_passes(device, gradient);
}

#define TRIREME_INSTANTIATE(T)                                                                \
  template void batch_norm_step(Cpu, const BatchNormStep<T>&, const RunningMoments<Acc<T>>&); \
  template void batch_norm_gradient(Cpu, const BatchNormGradient<T>&)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
