#include "kernels/conv2d_norm.h"

namespace trireme::kernels {

template <typename A>
void fold_norm(Cpu, int64_t channels, const FoldedNorm<A>& norm) {
  for (int64_t c = 0; c < channels; ++c) norm.template run<1>(c);
}
template void fold_norm(Cpu, int64_t, const FoldedNorm<float>&);
template void fold_norm(Cpu, int64_t, const FoldedNorm<double>&);

template <typename T>
void conv2d_norm(Cpu device, const Conv2dNorm<T>& conv) {
  fold_norm(device, conv.g.out_channels, conv.norm);
  run_passes(device, conv);
}

#define TRIREME_INSTANTIATE(T) template void conv2d_norm(Cpu, const Conv2dNorm<T>&)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
