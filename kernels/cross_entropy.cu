// Cross entropy of rows of logits.
//
// A warp takes a row of up to 128 packs of 16 bytes, up to a block of 256 threads a longer one: a
// vocabulary of 50,257 bf16 logits is 25 packs a thread. Forward reads the logits once (2 bytes per
// element), backward reads them and writes dlogits (4), at an expected 85 % of 4.3 TB/s on an H200;
// rows may start anywhere. The mean over the rows is one block's work, in f64 and in one order.
// Targets outside the table are reported by find_outside; the kernels look none of them up.

#include "kernels/cross_entropy.h"

#include "core/cuda/memory.h"
#include "kernels/cuda/cross_entropy_kernel.cuh"
#include "kernels/cuda/index_check.cuh"

namespace trireme::kernels {
namespace {

template <typename Id>
struct CheckBody {
  const Id* ids;
  int64_t bound, ignored;
  cuda::IndexCheck check;
  template <int>
  __device__ void run(int64_t i) const {
    const Id id = ids[i];
    if ((id < 0 || id >= bound) && id != ignored) report_bad_index(check, id, bound, i);
  }
};

template <int W, typename T, typename Id>
struct ForwardBody {
  MatrixView<const T> logits;
  const Id* targets;
  int64_t ignore_index;
  Acc<T>*logsumexp, *loss;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    const Target<Id> target(targets[r], ignore_index, logits.cols);
    const Two<Acc<T>> found =
        cross_entropy_row<W>(group, logits.data + r * logits.row_stride, logits.cols, target);
    if (group.rank() != 0) return;
    logsumexp[r] = found.first;
    loss[r] = found.second;
  }
};

template <int W, typename T, typename Id>
struct BackwardBody {
  MatrixView<const T> logits;
  const Id* targets;
  int64_t ignore_index;
  const Acc<T>*logsumexp, *dloss, *inverse_count;
  MatrixView<T> dlogits;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    cross_entropy_backward_row<W>(group, logits.data + r * logits.row_stride,
                                  dlogits.data + r * dlogits.row_stride, logits.cols,
                                  Target<Id>(targets[r], ignore_index, logits.cols), logsumexp[r],
                                  *dloss * *inverse_count);
  }
};

}  // namespace

template <typename Id>
int64_t find_outside(Cuda device, const char* op, const Id* ids, int64_t count, int64_t bound,
                     int64_t ignored) {
  const cuda::IndexCheck check = cuda::index_check(op, device.index);
  launch_packs<1>("find_outside", device, count, CheckBody<Id>{ids, bound, ignored, check});
  return -1;
}

template <typename T, typename Id>
void cross_entropy(Cuda device, MatrixView<const T> logits, const Id* targets, int64_t ignore_index,
                   Acc<T>* logsumexp, Acc<T>* result) {
  const cuda::Workspace workspace(device,
                                  std::max<int64_t>(1, logits.rows) * int64_t{sizeof(Acc<T>)});
  Acc<T>* loss = workspace.as<Acc<T>>();
  with_logits_width<T>(logits, logits, [&](auto width, int group) {
    const ForwardBody<width, T, Id> body{logits, targets, ignore_index, logsumexp, loss};
    launch_rows("cross_entropy", device, logits.rows, group, body);
  });
  launch_mean_loss("cross_entropy", device, static_cast<const Acc<T>*>(loss), targets, logits.rows,
                   ignore_index, result);
}

template <typename T, typename Id>
void cross_entropy_backward(Cuda device, MatrixView<const T> logits, const Id* targets,
                            int64_t ignore_index, const Acc<T>* logsumexp, const Acc<T>* dloss,
                            const Acc<T>* inverse_count, MatrixView<T> dlogits) {
  with_logits_width<T>(logits, dlogits, [&](auto width, int group) {
    const BackwardBody<width, T, Id> body{logits, targets,       ignore_index, logsumexp,
                                          dloss,  inverse_count, dlogits};
    launch_rows("cross_entropy backward", device, logits.rows, group, body);
  });
}

template int64_t find_outside(Cuda, const char*, const int64_t*, int64_t, int64_t, int64_t);
template int64_t find_outside(Cuda, const char*, const int32_t*, int64_t, int64_t, int64_t);

#define TRIREME_INSTANTIATE(T, Id)                                                           \
  template void cross_entropy<T, Id>(Cuda, MatrixView<const T>, const Id*, int64_t, Acc<T>*, \
                                     Acc<T>*);                                               \
  template void cross_entropy_backward<T, Id>(Cuda, MatrixView<const T>, const Id*, int64_t, \
                                              const Acc<T>*, const Acc<T>*, const Acc<T>*,   \
                                              MatrixView<T>)
TRIREME_INSTANTIATE(double, int64_t);
TRIREME_INSTANTIATE(double, int32_t);
TRIREME_INSTANTIATE(float, int64_t);
TRIREME_INSTANTIATE(float, int32_t);
TRIREME_INSTANTIATE(BFloat16, int64_t);
TRIREME_INSTANTIATE(BFloat16, int32_t);
TRIREME_INSTANTIATE(Float16, int64_t);
TRIREME_INSTANTIATE(Float16, int32_t);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
