// A batch of matrix products as plain strides: which leading dimensions are really rows, or really
// part of the inner dimension, and where each remaining matrix lies. For both devices.

#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/gemm.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// c[m, n] (+)= a[m, k] b[k, n] + bias[n]. Rows of c are contiguous. C is T, or f32 where products
/// of 16-bit elements add up.
template <typename T, typename C = T>
struct Product {
  int64_t m, n, k;
  Operand<T> a, b;
  const T* bias;
  C* c;
  int64_t c_row_stride;
  Write write;
};

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

  /// True if the last leading dimension is gone.
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

  /// Matrices of the batch; those that add up are counted too.
  int64_t matrices() const {
    int64_t count = 1;
    for (int i = 0; i < leading(); ++i) count *= c.shape[i];
    return count;
  }
  bool sums() const {
    return std::any_of(c.strides.begin(), c.strides.begin() + leading(),
                       [](int64_t stride) { return stride == 0; });
  }

  /// Matrix number `index` of the batch; one that adds to a sum begun before accumulates.
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

}  // namespace trireme::kernels
