// A row as its group sees it: member m owns the packs m, m + size, m + 2 size, ...
//
// Held<N> keeps N packs per member in registers, so memory is read once whatever the number of
// passes. Streamed reads again in each pass, from the caches: for rows of any length.

#pragma once

#include <type_traits>

#include "kernels/cuda/held_pack.h"
#include "kernels/cuda/pack.h"

namespace trireme::kernels {

/// a + b, two packs of T and of Low, rounded to T.
template <typename T, int W, typename A, typename B>
TRIREME_HD inline HeldPack<T, W> sum_of(const A& a, const B& b) {
  Acc<T> left[W], right[W];
  widen(a, left);
  widen(b, right);
  TRIREME_UNROLL
  for (int k = 0; k < W; ++k) left[k] += right[k];
  return narrow_held<T, W>(left);
}

struct Streamed {
  /// Calls fn(i, c) for the packs of W elements this member owns: i counts them, c is the column.
  template <int W, typename Group, typename Fn>
  TRIREME_HD static void each(const Group& group, int64_t cols, const Fn& fn) {
    const int64_t step = int64_t{group.size()} * W;
    for (int64_t c = int64_t{group.rank()} * W; c < cols; c += step) fn(0, c);
  }

  template <typename T, int W>
  struct Row {
    const T* from;

    template <typename Group>
    TRIREME_HD void load(const Group&, const T* x, int64_t /*cols*/) {
      from = x;
    }
    /// The row becomes its sum with `other`, rounded to T, and is written to `sum`.
    template <typename Group, typename Other>
    TRIREME_HD void add(const Group& group, const Other& other, T* sum, int64_t cols) {
      each<W>(group, cols, [&](int i, int64_t c) {
        store_held(sum + c, sum_of<T, W>(get(i, c), other.get(i, c)));
      });
      from = sum;
    }
    TRIREME_HD HeldPack<T, W> get(int, int64_t c) const { return load_held<W>(from + c); }
  };
};

template <int kPacks>
struct Held {
  template <int W, typename Group, typename Fn>
  TRIREME_HD static void each(const Group& group, int64_t cols, const Fn& fn) {
    TRIREME_UNROLL
    for (int i = 0; i < kPacks; ++i) {
      const int64_t c = (int64_t{i} * group.size() + group.rank()) * W;
      if (c < cols) fn(i, c);
    }
  }

  template <typename T, int W>
  struct Row {
    HeldPack<T, W> packs[kPacks];

    template <typename Group>
    TRIREME_HD void load(const Group& group, const T* x, int64_t cols) {
      each<W>(group, cols, [&](int i, int64_t c) { packs[i] = load_held<W>(x + c); });
    }
    template <typename Group, typename Other>
    TRIREME_HD void add(const Group& group, const Other& other, T* sum, int64_t cols) {
      each<W>(group, cols, [&](int i, int64_t c) {
        packs[i] = sum_of<T, W>(get(i, c), other.get(i, c));
        store_held(sum + c, packs[i]);
      });
    }
    TRIREME_HD HeldPack<T, W> get(int i, int64_t) const { return packs[i]; }
    /// What has been widened is not kept (held_pack.h).
    TRIREME_HD void renew() {
      TRIREME_UNROLL
      for (auto& pack : packs) kernels::renew(pack);
    }
  };
};

/// One access of W neighbouring elements, as a value: fn(Width<W>{}, c).
template <int W>
using Width = std::integral_constant<int, W>;

/// Calls fn(Width<W>{}, c) for the packs of a row that starts anywhere, and fn(Width<1>{}, c) for
/// what stands before the first full pack and behind the last; each element is one member's. Other
/// arrays of the row may be read at c alike if they are congruent to x (rows_are_congruent).
template <int W, typename T, typename Group, typename Fn>
TRIREME_HD inline void each_ragged(const Group& group, const T* x, int64_t cols, const Fn& fn) {
  int64_t head = 0;
  if constexpr (W > 1) {
    head = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(x) % (sizeof(T) * W) / sizeof(T));
    if (head > cols) head = cols;
    if (group.rank() < head) {
      for (int64_t c = group.rank(); c < head; c += group.size()) fn(Width<1>{}, c);
    }
  }
  const int64_t end = head + (cols - head) / W * W;
  const int64_t step = int64_t{group.size()} * W;
  for (int64_t c = head + int64_t{group.rank()} * W; c < end; c += step) fn(Width<W>{}, c);
  if constexpr (W > 1) {
    for (int64_t c = end + group.rank(); c < cols; c += group.size()) fn(Width<1>{}, c);
  }
}

/// Whether a and b, of the same extents, start each row at the same place of a pack of W.
template <int W, typename A, typename B>
bool rows_are_congruent(const A& a, const B& b) {
  constexpr uintptr_t kBytes = sizeof(*a.data) * W;
  return reinterpret_cast<uintptr_t>(a.data) % kBytes ==
             reinterpret_cast<uintptr_t>(b.data) % kBytes &&
         (a.rows <= 1 || (a.row_stride - b.row_stride) % W == 0);
}

/// Whether every row of x starts on a pack of W and holds whole packs. A null x passes.
template <int W, typename Matrix>
bool rows_are_packed(const Matrix& x) {
  return are_packed<W>(x.data) && x.cols % W == 0 && (x.row_stride % W == 0 || x.rows <= 1);
}

}  // namespace trireme::kernels
