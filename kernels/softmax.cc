#include "kernels/softmax.h"

#include "kernels/half_rows.h"
#include "kernels/row_softmax.h"
#include "kernels/rows.h"
#include "kernels/stream_store.h"

namespace trireme::kernels {
template <typename T>
void softmax(Cpu, MatrixView<const T> x, MatrixView<T> y) {
  each_row_into(y, [&](int64_t r, T* to) {
    const T* from = x.row(r);
    Acc<T>* row = unfinished_row(Scratch::kBlock, to, x.cols);
    const Acc<T> scale = 1 / exp_row<T>(from, x.cols, max_of_row(from, x.cols), row);
    each_vector<T>(x.cols,
                   [&](int64_t i, auto part) { part.store(to + i, part.load(row + i) * scale); });
  });
}

template <typename T>
void softmax_backward(Cpu, MatrixView<const T> y, MatrixView<const T> dy, MatrixView<T> dx) {
  each_row_into(dx, [&](int64_t r, T* to) {
    const T *a = y.row(r), *b = dy.row(r);
    Vec<T> sum = {};
    each_vector<T>(y.cols,
                   [&](int64_t i, auto part) { sum += part.load(a + i) * part.load(b + i); });
    const Acc<T> dot = sum_of_lanes<T>(sum);
    each_vector<T>(y.cols, [&](int64_t i, auto part) {
      part.store(to + i, part.load(a + i) * (part.load(b + i) - dot));
    });
  });
}

template <typename T>
void log_softmax(Cpu, MatrixView<const T> x, MatrixView<T> y) {
  each_row_into(y, [&](int64_t r, T* to) {
    const T* from = x.row(r);
    const RowExpSum<T> found = exp_sum_of_row(from, x.cols);
    const Acc<T> log_sum = std::log(found.sum);
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      // In this order, because most + log_sum loses the digits of log_sum where x is large.
      part.store(to + i, (part.load(from + i) - found.most) - log_sum);
    });
  });
}

template <typename T>
void log_softmax_backward(Cpu, MatrixView<const T> y, MatrixView<const T> dy, MatrixView<T> dx) {
  each_row_into(dx, [&](int64_t r, T* to) {
    const T *a = y.row(r), *b = dy.row(r);
    Vec<T> sum = {};
    each_vector<T>(y.cols, [&](int64_t i, auto part) { sum += part.load(b + i); });
    const Acc<T> total = sum_of_lanes<T>(sum);
    each_vector<T>(y.cols, [&](int64_t i, auto part) {
      part.store(to + i, part.load(b + i) - exp_of<T>(part.load(a + i)) * total);
    });
  });
}

#define TRIREME_INSTANTIATE(T)                                                                  \
  template void softmax(Cpu, MatrixView<const T>, MatrixView<T>);                               \
  template void softmax_backward(Cpu, MatrixView<const T>, MatrixView<const T>, MatrixView<T>); \
  template void log_softmax(Cpu, MatrixView<const T>, MatrixView<T>);                           \
  template void log_softmax_backward(Cpu, MatrixView<const T>, MatrixView<const T>, MatrixView<T>)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
