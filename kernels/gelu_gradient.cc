#include "kernels/gelu_gradient.h"

#include <algorithm>

#include "kernels/functors.h"
#include "kernels/half_rows.h"
#include "kernels/rows.h"

namespace trireme::kernels {
namespace {

/// dx = dy gelu'(x) for n elements, in the arithmetic of the kernel; dx may be dy.
template <typename A>
void gelu_gradient_row(const A* x, const A* dy, A* dx, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) dx[i] = GeluTanh{}.grad(dy[i], x[i]);
}

}  // namespace

template <typename T>
void gelu_bias_gradient(Cpu, MatrixView<const T> x, MatrixView<const T> dy, MatrixView<T> dx,
                        T* dbias) {
  using A = Acc<T>;
  constexpr int64_t kBlock = 256;
  // Threads take columns, so every sum has one order.
  const int64_t grain = std::max<int64_t>(64, kSerialElements / std::max<int64_t>(1, x.rows));
  parallel_for(x.cols, grain, [&](int64_t begin, int64_t end) {
    A* sums = unfinished_row(Scratch::kPartials, dbias + begin, end - begin);
    std::fill_n(sums, end - begin, A{0});
    alignas(kVecBytes) A wide_x[kBlock], wide_dy[kBlock];
    for (int64_t r = 0; r < x.rows; ++r) {
      for (int64_t c = begin; c < end; c += kBlock) {
        const int64_t n = std::min(kBlock, end - c);
        convert_row(wide_x, x.row(r) + c, n);
        convert_row(wide_dy, dy.row(r) + c, n);
        gelu_gradient_row(wide_x, wide_dy, wide_dy, n);
        T* to = dx.row(r) + c;
        A* sum = sums + (c - begin);
        each_vector<A>(n, [&](int64_t i, auto part) {
          const Vec<A> d = part.load(wide_dy + i);
          part.store(to + i, d);
          part.store(sum + i, part.load(sum + i) + d);
        });
      }
    }
    finish_row(sums, dbias + begin, end - begin);
  });
}

#define TRIREME_INSTANTIATE(T) \
  template void gelu_bias_gradient(Cpu, MatrixView<const T>, MatrixView<const T>, MatrixView<T>, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
