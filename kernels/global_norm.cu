// The global norm of gradients: sums of squares of many arrays in two kernels.
//
// A block takes 16,384 elements of one array, a thread 16 bytes a step, summed in f64; a second
// kernel of one block adds the blocks' sums in a fixed order. Each gradient is read once: 2 bytes
// per element in 16-bit types, expected 80 % of 4.3 TB/s on an H200 (converting to f64 is then
// nearly the limit). A third, of one thread, turns the sum into the factor that optimizers read.

#include "kernels/global_norm.h"

#include <vector>

#include "core/cuda/memory.h"
#include "kernels/cuda/chunk_table.h"
#include "kernels/cuda/global_norm_body.h"
#include "kernels/cuda/launch_rows.cuh"

namespace trireme::kernels {
namespace {

template <typename T>
struct CheckedSpan {
  int64_t count;
  const T* x;
  bool is_packed;
};
constexpr int kMostSpans = 768;

template <typename T>
using Table = ChunkTable<CheckedSpan<T>, kMostSpans>;

template <typename T>
__global__ void __launch_bounds__(kBlockThreads)
    squares_kernel(const __grid_constant__ Table<T> table, double* partials) {
  __shared__ GroupSlots slots;
  const DeviceGroup group(kBlockThreads, slots);
  const auto chunk = table.chunk(static_cast<int32_t>(blockIdx.x));
  const CheckedSpan<T>& s = table.span[chunk.span];
  const double sum = squares_of_chunk<kPack<T>>(group, s.x, s.is_packed, chunk.begin, chunk.end);
  if (group.rank() == 0) partials[blockIdx.x] = sum;
}

__global__ void factor_kernel(const double* sum, double loss_scale, double max_norm, double* norm,
                              double* factor, double otherwise) {
  const double value = sqrt(*sum) / loss_scale;
  *norm = value;
  *factor = factor_for(value, loss_scale, max_norm, otherwise);
}

__global__ void __launch_bounds__(kBlockThreads)
    add_partials_kernel(const double* partials, int64_t count, double* sum) {
  __shared__ GroupSlots slots;
  const DeviceGroup group(kBlockThreads, slots);
  double part = 0;
  for (int64_t i = group.rank(); i < count; i += group.size()) part += partials[i];
  const double total = group_sum(group, part);
  if (group.rank() == 0) *sum += total;
}

}  // namespace

template <typename T>
void add_sum_of_squares(Cuda device, std::span<const NormSpan<T>> spans, double* sum) {
  std::vector<CheckedSpan<T>> checked;
  checked.reserve(spans.size());
  for (const NormSpan<T>& s : spans) checked.push_back({s.count, s.x, are_packed<kPack<T>>(s.x)});
  std::span<const CheckedSpan<T>> rest(checked);
  Table<T> table;
  while (!rest.empty()) {
    rest = fill_table(rest, table);
    if (table.spans == 0) return;
    const cuda::Workspace workspace(device,
                                    int64_t{table.chunks()} * static_cast<int64_t>(sizeof(double)));
    double* partials = workspace.as<double>();
    launch("global_norm", device, squares_kernel<T>, {.blocks = table.chunks()}, table, partials);
    launch("global_norm", device, add_partials_kernel, {.blocks = 1}, partials, table.chunks(),
           sum);
  }
}

template <typename T>
void add_sum_of_squares(Cuda device, const T* x, int64_t count, double* sum) {
  const NormSpan<T> span{count, x};
  add_sum_of_squares(device, std::span<const NormSpan<T>>(&span, 1), sum);
}

void norm_to_factor(Cuda device, const double* sum, double loss_scale, double max_norm,
                    double* norm, double* factor, double otherwise) {
  launch("global_norm", device, factor_kernel, {.blocks = 1, .threads = 1}, sum, loss_scale,
         max_norm, norm, factor, otherwise);
}

#define TRIREME_INSTANTIATE(T)                                                   \
  template void add_sum_of_squares(Cuda, std::span<const NormSpan<T>>, double*); \
  template void add_sum_of_squares(Cuda, const T*, int64_t, double*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
