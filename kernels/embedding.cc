#include "kernels/embedding.h"

#include <algorithm>

#include "kernels/rows.h"

namespace trireme::kernels {

template <typename T, typename Id>
void embedding(Cpu, MatrixView<const T> weight, const Id* ids, MatrixView<T> y) {
  each_row(y.rows, y.cols, [&](int64_t i) { std::copy_n(weight.row(ids[i]), y.cols, y.row(i)); });
}

template <typename T, typename Id>
void embedding_backward(Cpu, MatrixView<const T> dy, const Id* ids, MatrixView<T> dweight) {
  // Threads take columns: no two write one element, and every sum runs in the order of the ids.
  const int64_t rows = std::max<int64_t>(1, dy.rows + dweight.rows);
  const int64_t grain = std::max<int64_t>(32, kSerialElements / rows);
  parallel_for(dweight.cols, grain, [&](int64_t begin, int64_t end) {
    for (int64_t v = 0; v < dweight.rows; ++v) {
      std::fill(dweight.row(v) + begin, dweight.row(v) + end, T{0});
    }
    for (int64_t i = 0; i < dy.rows; ++i) {
      const T* from = dy.row(i);
      T* to = dweight.row(ids[i]);
      for (int64_t c = begin; c < end; ++c) to[c] += from[c];
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
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
