#include "kernels/cross_entropy_inplace.h"

#include <algorithm>
#include <cmath>

#include "kernels/half_rows.h"
#include "kernels/row_softmax.h"
#include "kernels/rows.h"
#include "kernels/scratch.h"

namespace trireme::kernels {

template <typename T, typename Id>
void cross_entropy_inplace(Cpu, MatrixView<T> logits, int64_t classes, const Id* targets,
                           int64_t ignore_index, Acc<T>* result) {
  using A = Acc<T>;
  const auto ignored = std::count(targets, targets + logits.rows, static_cast<Id>(ignore_index));
  const double inverse_count = 1.0 / static_cast<double>(logits.rows - ignored);
  const A scale = static_cast<A>(inverse_count);
  A* losses = scratch<A>(Scratch::kPartials, logits.rows);
  each_row(logits.rows, logits.cols, [&](int64_t r) {
    T* row = logits.row(r);
    std::fill(row + classes, row + logits.cols, T(A{0}));
    losses[r] = 0;
    if (targets[r] == ignore_index) {
      std::fill_n(row, classes, T(A{0}));
      return;
    }
    const A logit{row[targets[r]]}, most = max_of_row(row, classes);
    A* exps = unfinished_row(Scratch::kBlock, row, classes);
    const A sum = exp_row<T>(row, classes, most, exps), share = exps[targets[r]] / sum;
    // In this order, because most + log(sum) loses the digits of the logarithm where most is large.
    losses[r] = std::log(sum) - (logit - most);
    each_vector<T>(classes, [&](int64_t i, auto part) {
      part.store(row + i, part.load(exps + i) * (scale / sum));
    });
    // Anew, because what stands there is already rounded to T.
    row[targets[r]] = T((share - A{1}) * scale);
  });
  // One order of summation whatever the threads, and in f64: there may be a million rows.
  double sum = 0;
  for (int64_t r = 0; r < logits.rows; ++r) sum += static_cast<double>(losses[r]);
  result[0] = static_cast<A>(sum * inverse_count);
  result[1] = scale;
}

template <typename T>
void scale_by(Cpu, T* x, int64_t count, const Acc<T>* factor) {
  const Acc<T> f = *factor;
  if (f == 1) return;
  parallel_for(count, kSerialElements, [=](int64_t begin, int64_t end) {
    each_vector<T>(end - begin, [&](int64_t i, auto part) {
      part.store(x + begin + i, part.load(x + begin + i) * f);
    });
  });
}

#define TRIREME_INSTANTIATE(T)                                                                 \
  template void cross_entropy_inplace<T, int64_t>(Cpu, MatrixView<T>, int64_t, const int64_t*, \
                                                  int64_t, Acc<T>*);                           \
  template void cross_entropy_inplace<T, int32_t>(Cpu, MatrixView<T>, int64_t, const int32_t*, \
                                                  int64_t, Acc<T>*);                           \
  template void scale_by(Cpu, T*, int64_t, const Acc<T>*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
