#include "kernels/cross_entropy.h"

#include <algorithm>

#include "kernels/row_softmax.h"
#include "kernels/rows.h"
#include "kernels/stream_store.h"

namespace trireme::kernels {
template <typename Id>
int64_t find_outside(Cpu, const char* /*op*/, const Id* ids, int64_t count, int64_t bound,
                     int64_t ignored) {
  for (int64_t i = 0; i < count; ++i) {
    if ((ids[i] < 0 || ids[i] >= bound) && ids[i] != ignored) return i;
  }
  return -1;
}

template int64_t find_outside(Cpu, const char*, const int64_t*, int64_t, int64_t, int64_t);
template int64_t find_outside(Cpu, const char*, const int32_t*, int64_t, int64_t, int64_t);

template <typename T, typename Id>
void cross_entropy(Cpu, MatrixView<const T> logits, const Id* targets, int64_t ignore_index,
                   Acc<T>* logsumexp, Acc<T>* result) {
  Acc<T>* losses = scratch<Acc<T>>(Scratch::kPartials, logits.rows);
  each_row(logits.rows, logits.cols, [&](int64_t r) {
    logsumexp[r] = losses[r] = 0;
    if (targets[r] == ignore_index) return;
    const T* row = logits.row(r);
    const RowExpSum<T> found = exp_sum_of_row(row, logits.cols);
    const Acc<T> log_sum = std::log(found.sum);
    logsumexp[r] = found.most + log_sum;
    // In this order, because the sum above loses the digits of log_sum where logits are large.
    losses[r] = log_sum - (Acc<T>{row[targets[r]]} - found.most);
  });
  // One order of summation whatever the threads, and in f64: there may be a million rows.
  double sum = 0;
  int64_t count = 0;
  for (int64_t r = 0; r < logits.rows; ++r) {
    if (targets[r] == ignore_index) continue;
    sum += static_cast<double>(losses[r]);
    ++count;
  }
  result[0] = static_cast<Acc<T>>(sum / static_cast<double>(count));
  result[1] = static_cast<Acc<T>>(1.0 / static_cast<double>(count));
}

template <typename T, typename Id>
void cross_entropy_backward(Cpu, MatrixView<const T> logits, const Id* targets,
                            int64_t ignore_index, const Acc<T>* logsumexp, const Acc<T>* dloss,
                            const Acc<T>* inverse_count, MatrixView<T> dlogits) {
  const Acc<T> scale = *dloss * *inverse_count;
  each_row_into(dlogits, [&](int64_t r, T* to) {
    const T* from = logits.row(r);
    if (targets[r] == ignore_index) {
      std::fill_n(to, logits.cols, T{0});
      return;
    }
    const Acc<T> of_target = vmath::exp(Acc<T>{from[targets[r]]} - logsumexp[r]);
    each_vector<T>(logits.cols, [&](int64_t i, auto part) {
      part.store(to + i, exp_of<T>(part.load(from + i) - logsumexp[r]) * scale);
    });
    to[targets[r]] = T((of_target - 1) * scale);
  });
}

#define TRIREME_INSTANTIATE(T, Id)                                                          \
  template void cross_entropy<T, Id>(Cpu, MatrixView<const T>, const Id*, int64_t, Acc<T>*, \
                                     Acc<T>*);                                              \
  template void cross_entropy_backward<T, Id>(Cpu, MatrixView<const T>, const Id*, int64_t, \
                                              const Acc<T>*, const Acc<T>*, const Acc<T>*,  \
                                              MatrixView<T>)
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
