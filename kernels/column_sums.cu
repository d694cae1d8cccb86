// Sums over the rows of a matrix: a bias's gradient.
//
// A thread takes the W columns of one 16-byte access and every eighth row of its block's chunk; a
// second kernel adds the chunks in order (cuda/column_geometry.h). x is read once: 2 bytes per
// element in 16-bit types, expected 80 % of 4.3 TB/s on an H200. Memory there wants 4.3 TB/s times
// 1 us = 33 KB under way per SM; five loads of 16 bytes by each of 1,024 threads are 82 KB, all but
// one of them at any time. 6 instructions an element take a third of the time that the bytes take.

#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/held_pack.h"
#include "kernels/cuda/row.h"
#include "kernels/cuda/row_geometry.h"
#include "kernels/matmul.h"

namespace trireme::kernels {
namespace {

template <typename T>
struct Elements {
  static constexpr int kSums = 1, kAhead = 5;
  template <int W>
  using Loaded = HeldPack<T, W>;
  const T* x;
  int64_t row_stride;
  template <int W>
  TRIREME_HD Loaded<W> load(int64_t at) const {
    return load_held<W>(x + at);
  }
  template <int W>
  TRIREME_HD void operator()(const Loaded<W>& loaded, int64_t, Acc<T> (&terms)[1][W]) const {
    widen(loaded, terms[0]);
  }
};

}  // namespace

template <typename T>
void column_sums(Cuda device, MatrixView<const T> x, T* y) {
  if (x.cols == 0) return;
  const Elements<T> terms{x.data, x.row_stride};
  const ColumnResults<T, 1> results{{y}};
  if constexpr (kRowPack < T >> 1) {
    if (rows_are_packed<kRowPack<T>>(x)) {
      return launch_column_sums<kRowPack<T>>("column_sums", device, x.rows, x.cols, terms, results);
    }
  }
  launch_column_sums<1>("column_sums", device, x.rows, x.cols, terms, results);
}

template void column_sums(Cuda, MatrixView<const double>, double*);
template void column_sums(Cuda, MatrixView<const float>, float*);
template void column_sums(Cuda, MatrixView<const BFloat16>, BFloat16*);
template void column_sums(Cuda, MatrixView<const Float16>, Float16*);

}  // namespace trireme::kernels
