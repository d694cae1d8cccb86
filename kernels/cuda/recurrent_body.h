// Steps of recurrent cells over packs of W neighbouring hidden units of one row, for host and
// device.

#pragma once

#include "kernels/cuda/divide.h"
#include "kernels/cuda/pack.h"
#include "kernels/recurrent.h"

namespace trireme::kernels {

/// The pack's values of gate k, `gates` gates a row.
template <int W, typename T, size_t Gates>
TRIREME_HD void load_gates(const T* from, int64_t hidden, Acc<T> (&values)[Gates][W]) {
  TRIREME_UNROLL
  for (size_t k = 0; k < Gates; ++k) load_values<W>(from + k * hidden, values[k]);
}
template <int W, typename T, size_t Gates>
TRIREME_HD void store_gates(T* to, int64_t hidden, const Acc<T> (&values)[Gates][W]) {
  TRIREME_UNROLL
  for (size_t k = 0; k < Gates; ++k) store_values<W>(to + k * hidden, values[k]);
}

/// Of the arrays of one unit among those of a pack; one element at least, which cells without saved
/// values do not touch.
template <typename Cell>
inline constexpr int kSavedValues = Cell::kSaved > 0 ? Cell::kSaved : 1;

template <typename Cell, typename T>
struct CellStepBody {
  CellStep<T> s;
  FastDivisor hidden;
  template <int W>
  TRIREME_HD void run(int64_t i) const {
    using A = Acc<T>;
    constexpr int kG = Cell::kGates, kS = kSavedValues<Cell>;
    const int64_t n = s.rows.hidden, b = hidden.quotient(static_cast<uint32_t>(i)), j = i - b * n;
    A h[W], c[W] = {};
    load_values<W>(s.h_prev + i, h);
    if constexpr (Cell::kHasC) load_values<W>(s.c_prev + i, c);
    if (!s.rows.lengths || s.rows.time < s.rows.lengths[b]) {
      A x[kG][W], r[kG][W], saved[kS][W];
      load_gates<W>(s.input + b * kG * n + j, n, x);
      load_gates<W>(s.recurrent + b * kG * n + j, n, r);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) {
        A x1[kG], r1[kG], saved1[kS];
        TRIREME_UNROLL
        for (int g = 0; g < kG; ++g) {
          x1[g] = x[g][k];
          r1[g] = r[g][k];
        }
        Cell::forward(x1, r1, h[k], c[k], saved1);
        TRIREME_UNROLL
        for (int g = 0; g < Cell::kSaved; ++g) saved[g][k] = saved1[g];
      }
      if constexpr (Cell::kSaved > 0) store_gates<W>(s.saved + b * kS * n + j, n, saved);
    }
    store_values<W>(s.h + i, h);
    if constexpr (Cell::kHasC) store_values<W>(s.c + i, c);
  }
};

template <typename Cell, typename T>
struct CellGradientBody {
  CellGradient<T> s;
  FastDivisor hidden;
  template <int W>
  TRIREME_HD void run(int64_t i) const {
    using A = Acc<T>;
    constexpr int kG = Cell::kGates, kS = kSavedValues<Cell>;
    const int64_t n = s.rows.hidden, b = hidden.quotient(static_cast<uint32_t>(i)), j = i - b * n;
    A dh[W], dc[W] = {}, add[W];
    load_values<W>(s.dh + i, dh);
    load_values<W>(s.dy + i, add);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) dh[k] += add[k];
    if constexpr (Cell::kHasC) {
      load_values<W>(s.dc + i, dc);
      load_values<W>(s.dc_out + i, add);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) dc[k] += add[k];
    }
    A dx[kG][W] = {}, dr[kG][W] = {};
    if (!s.rows.lengths || s.rows.time < s.rows.lengths[b]) {
      A h_prev[W], h[W], c_prev[W] = {}, c[W] = {}, saved[kS][W];
      load_values<W>(s.h_prev + i, h_prev);
      load_values<W>(s.h + i, h);
      if constexpr (Cell::kHasC) {
        load_values<W>(s.c_prev + i, c_prev);
        load_values<W>(s.c + i, c);
      }
      if constexpr (Cell::kSaved > 0) load_gates<W>(s.saved + b * kS * n + j, n, saved);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) {
        A saved1[kS] = {}, dx1[kG], dr1[kG] = {};
        TRIREME_UNROLL
        for (int g = 0; g < Cell::kSaved; ++g) saved1[g] = saved[g][k];
        Cell::backward(saved1, h_prev[k], h[k], c_prev[k], c[k], dh[k], dc[k], dx1, dr1);
        TRIREME_UNROLL
        for (int g = 0; g < kG; ++g) {
          dx[g][k] = dx1[g];
          dr[g][k] = dr1[g];
        }
      }
    }
    store_values<W>(s.dh + i, dh);
    if constexpr (Cell::kHasC) store_values<W>(s.dc + i, dc);
    store_gates<W>(s.dinput + b * kG * n + j, n, dx);
    if constexpr (!Cell::kOneGradient) store_gates<W>(s.drecurrent + b * kG * n + j, n, dr);
  }
};

}  // namespace trireme::kernels
