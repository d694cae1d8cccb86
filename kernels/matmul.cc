#include "kernels/matmul.h"

#include <algorithm>
#include <type_traits>

#include "core/base/parallel_for.h"
#include "kernels/half_gemm.h"
#include "kernels/half_rows.h"
#include "kernels/matmul_batch.h"
#include "kernels/onednn_gemm.h"

namespace trireme::kernels {
namespace {

// Multiply-adds that one thread does in about 5 us; below it, waking others costs more.
constexpr int64_t kSerialWork = 64 * 64 * 64;

template <typename T, typename C>
void serial(const Product<T, C>& p) {
  if constexpr (is_half<T>) {
    half_gemm(p.m, p.n, p.k, p.a, p.b, p.bias, p.c, p.c_row_stride, p.write);
  } else {
    Write write = p.write;
    if (p.bias) {
      for (int64_t i = 0; i < p.m; ++i) std::copy_n(p.bias, p.n, p.c + i * p.c_row_stride);
      write = Write::kAccumulate;
    }
    gemm(p.m, p.n, p.k, p.a, p.b, p.c, p.c_row_stride, write);
  }
}

/// One product on all threads, split along the longer side of c.
template <typename T, typename C>
void split(const Product<T, C>& p) {
  const int64_t most = std::max<int64_t>(1, p.m * p.n * p.k / kSerialWork);
  const auto grain = [&](int64_t extent) { return std::max<int64_t>(16, extent / most); };
  if (p.m >= p.n) {
    parallel_for(p.m, grain(p.m), [&](int64_t begin, int64_t end) {
      Product<T, C> part = p;
      part.m = end - begin;
      part.a.data = p.a.at(begin, 0);
      part.c = p.c + begin * p.c_row_stride;
      serial(part);
    });
  } else {
    parallel_for(p.n, grain(p.n), [&](int64_t begin, int64_t end) {
      Product<T, C> part = p;
      part.n = end - begin;
      part.b.data = p.b.at(0, begin);
      part.c = p.c + begin;
      if (p.bias) part.bias = p.bias + begin;
      serial(part);
    });
  }
}

template <typename T, typename C>
void single(const Product<T, C>& p) {
  if (p.m * p.n * p.k <= kSerialWork || omp_in_parallel()) return serial(p);
  constexpr bool kHasOnednn = std::is_same_v<T, float> || std::is_same_v<T, BFloat16>;
  if constexpr (kHasOnednn && std::is_same_v<T, C>) {
    const OnednnGemm<T> g{p.m, p.n, p.k, p.a, p.b, p.bias, p.c, p.c_row_stride, p.write};
    if (onednn_can_run(g)) return onednn_gemm(g);
  }
  split(p);
}

/// Matrices of 16-bit elements that add up: every sum is kept in f32 and rounded once.
template <typename T>
void summed(Batch<T> batch, Write write) {
  batch.move_sums_last();
  batch.fold();
  int64_t sums = 1, addends = 1;
  for (int i = 0; i < batch.leading(); ++i) {
    (batch.c.strides[i] == 0 ? addends : sums) *= batch.c.shape[i];
  }
  for (int64_t s = 0; s < sums; ++s) {
    const Product<T> p = batch.product(s * addends, nullptr, write);
    float* total = scratch<float>(Scratch::kTotals, p.m * p.n);
    for (int64_t i = 0; i < addends; ++i) {
      const Product<T> q = batch.product(s * addends + i, nullptr, write);
      single(Product<T, float>{p.m, p.n, p.k, q.a, q.b, nullptr, total, p.n,
                               i == 0 ? Write::kOverwrite : Write::kAccumulate});
    }
    for (int64_t r = 0; r < p.m; ++r) {
      T* to = p.c + r * p.c_row_stride;
      each_vector<T>(p.n, [&](int64_t j, auto part) {
        Vec<T> v = part.load(total + r * p.n + j);
        if (write == Write::kAccumulate) v += part.load(to + j);
        part.store(to + j, v);
      });
    }
  }
}

template <typename T>
void any_matmul(StridedView<const T> a, StridedView<const T> b, StridedView<T> c, const T* bias,
                Write write) {
  if (c.count() == 0) return;
  Batch<T> batch{a, b, c};
  batch.fold();
  const int64_t matrices = batch.matrices();
  const bool sums = batch.sums();
  if constexpr (is_half<T>) {
    if (sums) return summed(batch, write);
  }
  const Product<T> first = batch.product(0, bias, write);
  const int64_t work = std::max<int64_t>(1, first.m * first.n * first.k);
  // Whole matrices per thread beat sharing each of them, unless there are too few or they add up.
  if (matrices > 1 && !sums && (matrices >= num_threads() || work <= kSerialWork)) {
    parallel_for(matrices, std::max<int64_t>(1, kSerialWork / work),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) serial(batch.product(i, bias, write));
                 });
    return;
  }
  for (int64_t i = 0; i < matrices; ++i) single(batch.product(i, bias, write));
}

template <typename T>
void any_column_sums(MatrixView<const T> x, T* y) {
  // Threads take columns, so every sum has one order. Four rows at a time: y is read and written
  // from the first-level cache once per four rows of x.
  constexpr int64_t kSerialSums = 1 << 15;
  const int64_t grain = std::max<int64_t>(64, kSerialSums / std::max<int64_t>(1, x.rows));
  parallel_for(x.cols, grain, [&](int64_t begin, int64_t end) {
    const int64_t cols = end - begin;
    Acc<T>* sums = unfinished_row(Scratch::kPartials, y + begin, cols);
    std::fill_n(sums, cols, Acc<T>{0});
    int64_t r = 0;
    for (; r + 4 <= x.rows; r += 4) {
      const T *a = x.row(r) + begin, *b = x.row(r + 1) + begin, *c = x.row(r + 2) + begin,
              *d = x.row(r + 3) + begin;
      each_vector<T>(cols, [&](int64_t j, auto part) {
        const Vec<T> four =
            (part.load(a + j) + part.load(b + j)) + (part.load(c + j) + part.load(d + j));
        part.store(sums + j, part.load(sums + j) + four);
      });
    }
    for (; r < x.rows; ++r) {
      const T* a = x.row(r) + begin;
      each_vector<T>(cols, [&](int64_t j, auto part) {
        part.store(sums + j, part.load(sums + j) + part.load(a + j));
      });
    }
    finish_row(sums, y + begin, cols);
  });
}

}  // namespace

template <typename T>
void matmul(Cpu, StridedView<const T> a, StridedView<const T> b, StridedView<T> c,
            const std::type_identity_t<T>* bias, Write write) {
  any_matmul(a, b, c, bias, write);
}

template <typename T>
void column_sums(Cpu, MatrixView<const T> x, T* y) {
  any_column_sums(x, y);
}

#define TRIREME_INSTANTIATE(T)                                                                    \
  template void matmul(Cpu, StridedView<const T>, StridedView<const T>, StridedView<T>, const T*, \
                       Write);                                                                    \
  template void column_sums(Cpu, MatrixView<const T>, T*)
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
