// Queues one graph of cuDNN, or our own passes (kernels/batch_norm.cu), whichever is faster for the
// shape. Traffic in elements of x: our own passes read and write 3 in forward (4 with a residual)
// and 5 in backward. A kernel of cuDNN's that keeps the images of a few channels on the chip needs
// 2 (3) and 3; one that cannot, 3 (4) and 5. Backward with a residual is our own, 7. Running
// moments are moved by a kernel of ours behind cuDNN's, [channels] long: a graph that moves them
// could not be timed.

#include <type_traits>

#include "kernels/batch_norm_passes.h"
#include "kernels/cudnn_batch_norm.h"
#include "kernels/cudnn_or_own.h"

namespace trireme::kernels {
namespace {

constexpr const char* kOp = "batch_norm";

}  // namespace

template <typename T>
void batch_norm_step(Cuda device, const BatchNormStep<T>& n,
                     const RunningMoments<Acc<T>>& running) {
  if constexpr (!std::is_same_v<T, double>) {
    const CudnnBatchNorm norm{n.shape, n.end, cudnn_type<T>};
    const bool fits = n.gamma && n.beta && common_alignment(n.x, n.residual, n.gamma, n.beta) == 16;
    if (fits && run_cudnn_unless_slower<T>(
                    device, key_of_batch_norm(norm),
                    [&](const CudnnLibrary& library, const CudnnFilter& filter) {
                      return build_batch_norm(library.graph(kOp), norm, filter);
                    },
                    {n.x, n.residual, n.gamma, n.beta, &n.eps, n.mean, n.rstd, n.y},
                    [&] { run_passes(device, n, {}); })) {
      if (!running.mean) return;
      return move_running(device, running, n.shape.channels, n.shape.rows(), n.eps, n.mean, n.rstd);
    }
  }
  run_passes(device, n, running);
}

template <typename T>
void batch_norm_gradient(Cuda device, const BatchNormGradient<T>& n) {
  if constexpr (!std::is_same_v<T, double>) {
    const CudnnBatchNorm norm{n.shape, n.end, cudnn_type<T>};
    const bool fits = n.end != NormEnd::kAddRelu && n.gamma && n.beta &&
                      common_alignment(n.x, n.dy, n.gamma, n.beta) == 16;
    if (fits && run_cudnn_unless_slower<T>(
                    device, key_of_batch_norm_gradient(norm),
                    [&](const CudnnLibrary& library, const CudnnFilter& filter) {
                      return build_batch_norm_gradient(library.graph(kOp), norm, filter);
                    },
                    {n.x, n.dy, n.gamma, n.beta, n.mean, n.rstd, n.dx, n.dgamma, n.dbeta},
                    [&] { run_passes(device, n); })) {
      return;
    }
  }
  run_passes(device, n);
}

#define TRIREME_INSTANTIATE(T)                                                                 \
  template void batch_norm_step(Cuda, const BatchNormStep<T>&, const RunningMoments<Acc<T>>&); \
  template void batch_norm_gradient(Cuda, const BatchNormGradient<T>&)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
