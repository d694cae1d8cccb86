#include "kernels/matmul.h"

#include <algorithm>
#include <type_traits>

#include "core/base/parallel_for.h"
#include "kernels/half_gemm.h"
#include "kernels/half_rows.h"
#include "kernels/onednn_gemm.h"

namespace trireme::kernels {
namespace {

// Multiply-adds that one thread does in about 5 us; below it, waking others costs more.
constexpr int64_t kSerialWork = 64 * 64 * 64;

/// C is T, or f32 where products of 16-bit elements add up.
template <typename T, typename C = T>
struct Product {
  int64_t m, n, k;
  Operand<T> a, b;
  const T* bias;
  C* c;
  int64_t c_row_stride;
  Write write;
};

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

/// Views with the last leading dimension folded into the rows or the inner dimension where the
/// strides allow it: [batch, time, in] x [in, out] is one product of batch * time rows.
template <typename T>
struct Batch {
  StridedView<const T> a, b;
  StridedView<T> c;

  int leading() const { return c.shape.rank() - 2; }

  void drop(int d) {
    for (Dims* dims : {&a.shape, &a.strides, &b.shape, &b.strides, &c.shape, &c.strides}) {
      dims->erase(d);
    }
  }
  bool fold_last() {
    const int d = leading() - 1, row = d + 1, col = d + 2;
    const int64_t extent = c.shape[d];
    if (extent == 1) return drop(d), true;
    const int64_t m = c.shape[row], k = a.shape[col];
    if (b.strides[d] == 0 && a.strides[d] == a.strides[row] * m &&
        c.strides[d] == c.strides[row] * m) {
      a.shape[row] = c.shape[row] = m * extent;
      return drop(d), true;
    }
    if (c.strides[d] == 0 && a.strides[d] == a.strides[col] * k &&
        b.strides[d] == b.strides[row] * k) {
      a.shape[col] = b.shape[row] = k * extent;
      return drop(d), true;
    }
    return false;
  }

  void fold() {
    while (leading() > 0 && fold_last()) {
    }
  }
  /// Orders the leading dimensions so that those that c sums over come last.
  void move_sums_last() {
    const int last = leading() - 1;
    for (int d = 0, left = last; left > 0; --left) {
      if (c.strides[d] != 0) {
        ++d;
        continue;
      }
      for (Dims* dims : {&a.shape, &a.strides, &b.shape, &b.strides, &c.shape, &c.strides}) {
        const int64_t moved = (*dims)[d];
        dims->erase(d);
        dims->insert(last, moved);
      }
    }
  }

  /// Matrix number `index` of the batch; `first` is false if it adds to a sum begun before.
  Product<T> product(int64_t index, const T* bias, Write write) const {
    const int d = leading();
    int64_t at_a = 0, at_b = 0, at_c = 0;
    bool first = true;
    for (int i = d - 1; i >= 0; --i) {
      const int64_t position = index % c.shape[i];
      index /= c.shape[i];
      at_a += position * a.strides[i];
      at_b += position * b.strides[i];
      at_c += position * c.strides[i];
      first = first && (position == 0 || c.strides[i] != 0);
    }
    // Extents of 1 may carry any stride; a canonical one lets every path read them.
    const auto operand = [d](const StridedView<const T>& v, int64_t at) {
      Operand<T> x{v.data + at, v.strides[d], v.strides[d + 1]};
      if (v.shape[d + 1] == 1) x.col_stride = 1;
      if (v.shape[d] == 1) x.row_stride = std::max(v.shape[d + 1] * x.col_stride, int64_t{1});
      return x;
    };
    const int64_t m = c.shape[d], n = c.shape[d + 1];
    return {m,
            n,
            a.shape[d + 1],
            operand(a, at_a),
            operand(b, at_b),
            bias,
            c.data + at_c,
            m == 1 ? n : c.strides[d],
            first ? write : Write::kAccumulate};
  }
};

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
  int64_t matrices = 1;
  bool sums = false;
  for (int i = 0; i < batch.leading(); ++i) {
    matrices *= batch.c.shape[i];
    sums = sums || batch.c.strides[i] == 0;
  }
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
