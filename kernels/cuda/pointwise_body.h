// The element loops of pointwise kernels: functors over dense or strided operands.

#pragma once

#include <array>

#include "kernels/cuda/pack.h"
#include "kernels/cuda/strided.h"

namespace trireme::kernels {

template <typename T, int N>
struct Operands {
  const T* at[N];
};

/// fn of operands whose values for W elements are in[0] .. in[N - 1].
template <int W, typename A, size_t N, typename Fn>
TRIREME_HD void apply(const Fn& fn, const A (&in)[N][W], A (&out)[W]) {
  TRIREME_UNROLL
  for (int k = 0; k < W; ++k) {
    if constexpr (N == 1) {
      out[k] = fn(in[0][k]);
    } else if constexpr (N == 2) {
      out[k] = fn(in[0][k], in[1][k]);
    } else {
      out[k] = fn(in[0][k], in[1][k], in[2][k]);
    }
  }
}

template <typename Fn, typename T, int N>
struct DenseBody {
  Fn fn;
  Operands<T, N> in;
  T* y;
  template <int W>
  TRIREME_HD void run(int64_t i) const {
    Acc<T> v[N][W], out[W];
    TRIREME_UNROLL
    for (int k = 0; k < N; ++k) load_values<W>(in.at[k] + i, v[k]);
    apply<W>(fn, v, out);
    store_values<W>(y + i, out);
  }
};

/// y is dense; operand k of the loop is in.at[k - 1], operand 0 y. With W > 1 the loop moves in
/// packs (moves_in_packs), where is_repeated says that an operand stands still inside a pack.
template <typename Fn, typename T, int N>
struct StridedBody {
  Fn fn;
  Operands<T, N> in;
  T* y;
  StridedIndex<N + 1> index;
  bool is_repeated[N];
  template <int W>
  TRIREME_HD void run(int64_t i) const {
    const Offsets<N + 1> offset = index.at(i);
    Acc<T> v[N][W], out[W];
    TRIREME_UNROLL
    for (int k = 0; k < N; ++k) {
      const T* from = in.at[k] + offset[k + 1];
      if (W > 1 && is_repeated[k]) {
        const auto value = static_cast<Acc<T>>(*from);
        TRIREME_UNROLL
        for (int j = 0; j < W; ++j) v[k][j] = value;
      } else {
        load_values<W>(from, v[k]);
      }
    }
    apply<W>(fn, v, out);
    store_values<W>(y + offset[0], out);
  }
};

}  // namespace trireme::kernels
