// Queues one graph of cuDNN, or the convolution and our own pass over its result, whichever is
// faster for the shape. The graph writes y once and reads the residual, if there is one; the pass
// reads and writes y once more: 44 MB of the 99 MB that ResNet-50 moves per image in evaluation,
// bf16.

#include <type_traits>

#include "kernels/conv2d_norm.h"
#include "kernels/cudnn_conv2d.h"
#include "kernels/cudnn_or_own.h"

namespace trireme::kernels {

template <typename T>
void conv2d_norm(Cuda device, const Conv2dNorm<T>& c) {
  if (c.g.batch == 0) return;
  fold_norm(device, c.g.out_channels, c.norm);
  if constexpr (!std::is_same_v<T, double>) {
    const CudnnConv2d conv{CudnnConvolution::kForward, c.g, cudnn_type<T>, 16};
    if (common_alignment(c.x, c.weight, c.residual, c.y) == 16 &&
        run_cudnn_unless_slower<T>(
            device, key_of_conv2d_norm(conv, c.end),
            [&](const CudnnLibrary& library, const CudnnFilter& filter) {
              return build_conv2d_norm(library.graph("conv2d"), conv, c.end, filter);
            },
            {c.x, c.weight, c.norm.scale, c.norm.shift, c.residual, c.y},
            [&] { run_passes(device, c); })) {
      return;
    }
  }
  run_passes(device, c);
}

#define TRIREME_INSTANTIATE(T) template void conv2d_norm(Cuda, const Conv2dNorm<T>&)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
