// Cross entropy in place: loss and gradient from one read of the logits.
//
// 16-bit rows of 8,192 columns and more that fit a block's shared memory wait there between the two
// passes (cuda/staged_row.h), so that each element moves 4 bytes: 13.2 GB for 65,536 rows of
// 50,304, 3.3 ms at 4 TB/s on an H200. Its SMs hold two blocks with a row of 101 KB each. While one
// stores a gradient, and starts to read its next row, the other adds up exponentials, so memory is
// never left without up to 200 KB of requests per SM, of which 29 KB would hide its latency. The
// arithmetic hides behind that: two ex2 per element at 16 a clock are 3.7 us of the 6.8 us that a
// row's bytes take an SM, and so are the 16 instructions per element in all at 128 a clock.
//
// Other rows are read a second time for the gradient, from the L2 cache as far as it has them, by a
// warp up to a block of 1,024 threads each. The number of rows that count is found by a small
// kernel before, and their mean by it after.

#include "kernels/cross_entropy_inplace.h"

#include "core/cuda/memory.h"
#include "kernels/cuda/cross_entropy_kernel.cuh"
#include "kernels/cuda/cross_entropy_staged_body.h"

namespace trireme::kernels {
namespace {

constexpr int kMostThreads = 1024;

template <int W, typename T, typename Id>
struct InplaceBody {
  MatrixView<T> logits;
  int64_t classes;
  const Id* targets;
  int64_t ignore_index;
  const Acc<T>* inverse_count;
  Acc<T>* loss;
  template <typename Group>
  TRIREME_HD void operator()(const Group& group, int64_t r) const {
    const Target<Id> target(targets[r], ignore_index, classes);
    const Acc<T> found = cross_entropy_inplace_row<W>(group, logits.data + r * logits.row_stride,
                                                      classes, logits.cols, target, *inverse_count);
    if (group.rank() == 0) loss[r] = found;
  }
};

constexpr int kStagedThreads = 512;

/// At most 64 registers a thread, for two blocks per SM.
template <typename T, typename Id>
__global__ void __launch_bounds__(kStagedThreads, 2)
    staged_cross_entropy_kernel(const __grid_constant__ StagedCrossEntropy<T, Id> body) {
  __shared__ GroupSlots slots;
  const DeviceGroup group(kStagedThreads, slots);
  body(group, static_cast<T*>(dynamic_shared()), blockIdx.x, gridDim.x);
}

/// Takes the logits if they are large enough for blocks of their own, and small enough.
template <typename T, typename Id>
bool launch_staged(const char* op, Cuda device, const StagedCrossEntropy<T, Id>& body) {
  constexpr int kW = kPack<T>;
  const MatrixView<T>& x = body.logits;
  const int64_t most = cuda::device_limits(device.index).shared_bytes_per_block -
                       static_cast<int64_t>(sizeof(GroupSlots));
  const int64_t row_bytes = x.cols * static_cast<int64_t>(sizeof(T));
  if (x.cols < 2 * kStagedThreads * kW || row_bytes > most || !rows_are_packed<kW>(x)) return false;
  auto* const kernel = staged_cross_entropy_kernel<T, Id>;
  const void* const address = reinterpret_cast<const void*>(kernel);
  allow_shared_bytes(op, address, most);
  const int64_t resident = resident_blocks(op, device, address, kStagedThreads, row_bytes);
  launch(op, device, kernel,
         {.blocks = std::clamp<int64_t>(x.rows, 1, std::max<int64_t>(1, resident)),
          .threads = kStagedThreads,
          .shared_bytes = row_bytes},
         body);
  return true;
}

template <typename T>
struct ScaleBody {
  T* x;
  const Acc<T>* factor;
  template <int N>
  TRIREME_HD void run(int64_t i) const {
    if (*factor == Acc<T>(1)) return;
    Acc<T> v[N];
    load_values<N>(x + i, v);
    TRIREME_UNROLL
    for (int k = 0; k < N; ++k) v[k] *= *factor;
    store_values<N>(x + i, v);
  }
};

}  // namespace

template <typename T, typename Id>
void cross_entropy_inplace(Cuda device, MatrixView<T> logits, int64_t classes, const Id* targets,
                           int64_t ignore_index, Acc<T>* result) {
  constexpr const char* kOp = "cross_entropy_inplace";
  using A = Acc<T>;
  const A* no_loss = nullptr;
  launch_mean_loss(kOp, device, no_loss, targets, logits.rows, ignore_index, result);
  const cuda::Workspace workspace(device, std::max<int64_t>(1, logits.rows) * int64_t{sizeof(A)});
  A* loss = workspace.as<A>();
  bool is_staged = false;
  if constexpr (is_half<T>) {
    is_staged = launch_staged(
        kOp, device,
        StagedCrossEntropy<T, Id>{logits, classes, targets, ignore_index, result + 1, loss});
  }
  if (!is_staged) {
    const MatrixView<const T> view = logits;
    with_logits_width<T, kMostThreads>(view, view, [&](auto width, int group) {
      launch_rows<kMostThreads>(
          kOp, device, logits.rows, group,
          InplaceBody<width, T, Id>{logits, classes, targets, ignore_index, result + 1, loss});
    });
  }
  launch_mean_loss(kOp, device, static_cast<const A*>(loss), targets, logits.rows, ignore_index,
                   result);
}

template <typename T>
void scale_by(Cuda device, T* x, int64_t count, const Acc<T>* factor) {
  const ScaleBody<T> body{x, factor};
  if (are_packed<kRowPack<T>>(x)) {
    return launch_packs<kRowPack<T>>("scale_by", device, count, body);
  }
  launch_packs<1>("scale_by", device, count, body);
}

#define TRIREME_INSTANTIATE(T)                                                                  \
  template void cross_entropy_inplace<T, int64_t>(Cuda, MatrixView<T>, int64_t, const int64_t*, \
                                                  int64_t, Acc<T>*);                            \
  template void cross_entropy_inplace<T, int32_t>(Cuda, MatrixView<T>, int64_t, const int32_t*, \
                                                  int64_t, Acc<T>*);                            \
  template void scale_by(Cuda, T*, int64_t, const Acc<T>*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
