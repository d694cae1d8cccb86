#include "kernels/bias_gelu.h"

#include <cstring>

#include "kernels/functors.h"
#include "kernels/matmul.h"
#include "kernels/rows.h"
#include "kernels/simd.h"

namespace trireme::kernels {
namespace {

/// fn of each lane; the compiler makes vector code of the loop.
template <typename T, typename Fn, typename... Vectors>
Vec<T> lanewise(const Fn& fn, Vec<T> a, Vectors... rest) {
  alignas(kVecBytes) Acc<T> lanes[1 + sizeof...(rest)][kLanes<T>];
  int k = 0;
  std::memcpy(lanes[k], &a, sizeof a);
  (std::memcpy(lanes[++k], &rest, sizeof a), ...);
  for (int64_t i = 0; i < kLanes<T>; ++i) {
    if constexpr (sizeof...(rest) == 0) {
      lanes[0][i] = fn(lanes[0][i]);
    } else {
      lanes[0][i] = fn(lanes[0][i], lanes[1][i]);
    }
  }
  std::memcpy(&a, lanes[0], sizeof a);
  return a;
}

}  // namespace

template <typename T>
void bias_gelu(Cpu, MatrixView<const T> x, const T* bias, MatrixView<T> y) {
  each_row(x.rows, x.cols, [&](int64_t r) {
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> v = part.load(x.row(r) + i) + part.load(bias + i);
      part.store(y.row(r) + i, lanewise<T>(GeluTanh{}, v));
    });
  });
}

template <typename T>
void bias_gelu_backward(Cpu device, MatrixView<const T> x, const T* bias, MatrixView<const T> dy,
                        MatrixView<T> dx, T* dbias) {
  each_row(x.rows, x.cols, [&](int64_t r) {
    each_vector<T>(x.cols, [&](int64_t i, auto part) {
      const Vec<T> v = part.load(x.row(r) + i) + part.load(bias + i);
      const Vec<T> d = part.load(dy.row(r) + i);
      part.store(dx.row(r) + i, lanewise<T>(GradOf<GeluTanh>{}, d, v));
    });
  });
  if (dbias) column_sums<T>(device, dx, dbias);
}

#define TRIREME_INSTANTIATE(T)                                                              \
  template void bias_gelu(Cpu, MatrixView<const T>, const T*, MatrixView<T>);               \
  template void bias_gelu_backward(Cpu, MatrixView<const T>, const T*, MatrixView<const T>, \
                                   MatrixView<T>, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
