// The order of the elements of rows, by the stable sort of cuda/radix_sort.cuh.
//
// All elements are sorted together by their keys, 32 bits at a time, least significant first, and
// then by their rows; equal ones keep their order in each step, so at last every row stands behind
// the one before it, sorted. A pass takes 8 bits and moves some 20 bytes per element: two passes
// for 16-bit elements, four for f32, eight for f64, and one or two for the rows. Only the first k
// columns of a row are written.

#include "kernels/sort.h"

#include <algorithm>

#include "core/cuda/memory.h"
#include "kernels/cuda/radix_sort.cuh"

namespace trireme::kernels {
namespace {

/// Word `word` of the keys of the elements at `positions`, which word 0 sets to 0, 1, ...
template <typename T>
struct WordBody {
  const T* x;
  Order order;
  int word;
  uint32_t *keys, *positions;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    if (word == 0) positions[i] = static_cast<uint32_t>(i);
    keys[i] = static_cast<uint32_t>(sort_key(x[positions[i]], order) >> (32 * word));
  }
};

struct RowBody {
  int64_t cols;
  uint32_t* keys;
  const uint32_t* positions;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    keys[i] = static_cast<uint32_t>(positions[i] / cols);
  }
};

struct ColumnBody {
  const uint32_t* positions;
  int64_t cols, k;
  int64_t* columns;
  template <int>
  TRIREME_HD void run(int64_t i) const {
    const int64_t row = i / k, j = i - row * k;
    columns[i] = positions[row * cols + j] - row * cols;
  }
};

}  // namespace

template <typename T>
void sort_rows(Cuda device, MatrixView<const T> x, Order order, int64_t k, int64_t* columns) {
  constexpr const char* kOp = "sort";
  const int64_t count = x.rows * x.cols;
  if (count == 0 || k == 0) return;
  require(count < INT32_MAX, kOp, "needs fewer than 2^31 elements on CUDA, got ", count);
  constexpr int kBytes = sizeof(SortKey<T>), kWords = (kBytes + 3) / 4;
  SortGeometry g = sort_geometry(count, x.rows - 1);
  const int row_passes = g.passes;
  const cuda::Workspace workspace(device, sort_workspace(g) * int64_t{sizeof(uint32_t)});
  SortBuffers buffers(g, workspace.as<uint32_t>());
  g.passes = std::min(kBytes, 4);
  for (int word = 0; word < kWords; ++word) {
    launch_packs<1>(kOp, device, count,
                    WordBody<T>{x.data, order, word, buffers.keys(), buffers.positions()});
    sort_keys(kOp, device, g, buffers);
  }
  if (x.rows > 1) {
    g.passes = row_passes;
    launch_packs<1>(kOp, device, count, RowBody{x.cols, buffers.keys(), buffers.positions()});
    sort_keys(kOp, device, g, buffers);
  }
  launch_packs<1>(kOp, device, x.rows * k, ColumnBody{buffers.positions(), x.cols, k, columns});
}

#define TRIREME_INSTANTIATE(T) \
  template void sort_rows(Cuda, MatrixView<const T>, Order, int64_t, int64_t*);
TRIREME_INSTANTIATE(double)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
TRIREME_INSTANTIATE(int64_t)
TRIREME_INSTANTIATE(int32_t)
TRIREME_INSTANTIATE(uint8_t)
TRIREME_INSTANTIATE(bool)
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
