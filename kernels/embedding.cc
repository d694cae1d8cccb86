#include "kernels/embedding.h"

#include <algorithm>
#include <utility>

#include "kernels/half_rows.h"
#include "kernels/rows.h"

namespace trireme::kernels {

template <typename T, typename Id>
void embedding(Cpu, MatrixView<const T> weight, const Id* ids, MatrixView<T> y) {
  each_row(y.rows, y.cols, [&](int64_t i) { std::copy_n(weight.row(ids[i]), y.cols, y.row(i)); });
}

template <typename T, typename Id>
void embedding_backward(Cpu, MatrixView<const T> dy, const Id* ids, MatrixView<T> dweight) {
  // Where each row of the table is asked for: first[v], then next[i] while it is not -1; ascending.
  int64_t* first = scratch<int64_t>(Scratch::kBlock, dweight.rows + dy.rows);
  int64_t* next = first + dweight.rows;
  std::fill_n(first, dweight.rows, int64_t{-1});
  for (int64_t i = dy.rows - 1; i >= 0; --i) next[i] = std::exchange(first[ids[i]], i);
  // Threads take columns: all have the same work, however often one id comes.
  const int64_t rows = std::max<int64_t>(1, dy.rows + dweight.rows);
  const int64_t grain = std::max<int64_t>(32, kSerialElements / rows);
  parallel_for(dweight.cols, grain, [&](int64_t begin, int64_t end) {
    const int64_t cols = end - begin;
    for (int64_t v = 0; v < dweight.rows; ++v) {
      T* to = dweight.row(v) + begin;
      if (first[v] < 0) {
        std::fill_n(to, cols, T{0});
        continue;
      }
      Acc<T>* sum = unfinished_row(Scratch::kPartials, to, cols);
      convert_row(sum, dy.row(first[v]) + begin, cols);
      for (int64_t i = next[first[v]]; i >= 0; i = next[i]) {
        const T* from = dy.row(i) + begin;
        each_vector<T>(cols, [&](int64_t c, auto part) {
          part.store(sum + c, part.load(sum + c) + part.load(from + c));
        });
      }
      finish_row(sum, to, cols);
    }
  });
}

#define TRIREME_INSTANTIATE(T, Id)                                                    \
  template void embedding<T, Id>(Cpu, MatrixView<const T>, const Id*, MatrixView<T>); \
  template void embedding_backward<T, Id>(Cpu, MatrixView<const T>, const Id*, MatrixView<T>)
TRIREME_INSTANTIATE(float, int64_t);
TRIREME_INSTANTIATE(float, int32_t);
TRIREME_INSTANTIATE(double, int64_t);
TRIREME_INSTANTIATE(double, int32_t);
TRIREME_INSTANTIATE(BFloat16, int64_t);
TRIREME_INSTANTIATE(BFloat16, int32_t);
TRIREME_INSTANTIATE(Float16, int64_t);
TRIREME_INSTANTIATE(Float16, int32_t);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
