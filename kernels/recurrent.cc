// A loop over the units of a row, whose arrays are known not to overlap shifted: the compiler makes
// vectors of it. Rows are shared out to threads.

#include "kernels/recurrent.h"

#include <algorithm>

#include "core/base/parallel_for.h"
#include "kernels/cuda/recurrent_body.h"

namespace trireme::kernels {
namespace {

/// Calls fn(row) in parallel; a unit costs some ten exponentials' time.
template <typename Fn>
void each_sequence(const StepRows& rows, const Fn& fn) {
  constexpr int64_t kSerialUnits = 2048;
  parallel_for(rows.batch, std::max<int64_t>(1, kSerialUnits / std::max<int64_t>(1, rows.hidden)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t b = begin; b < end; ++b) fn(b);
               });
}

bool goes_on(const StepRows& rows, int64_t b) {
  return !rows.lengths || rows.time < rows.lengths[b];
}

/// values[k] = from[k * hidden + j], widened.
template <typename T, int N>
inline void gather(const T* from, int64_t hidden, int64_t j, Acc<T> (&values)[N]) {
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) values[k] = static_cast<Acc<T>>(from[k * hidden + j]);
}
template <int N, typename T, typename A>
inline void scatter(const A* values, T* to, int64_t hidden, int64_t j) {
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) to[k * hidden + j] = static_cast<T>(values[k]);
}

template <typename Cell, typename T>
void step_row(const CellStep<T>& s, int64_t b) {
  using A = Acc<T>;
  constexpr int kG = Cell::kGates, kS = kSavedValues<Cell>;
  const int64_t n = s.rows.hidden;
  const T *h_prev = s.h_prev + b * n, *c_prev = Cell::kHasC ? s.c_prev + b * n : nullptr;
  T *h = s.h + b * n, *c = Cell::kHasC ? s.c + b * n : nullptr;
  if (!goes_on(s.rows, b)) {
    std::copy_n(h_prev, n, h);
    if constexpr (Cell::kHasC) std::copy_n(c_prev, n, c);
    return;
  }
  const T *input = s.input + b * kG * n, *recurrent = s.recurrent + b * kG * n;
  T* saved = Cell::kSaved > 0 ? s.saved + b * kS * n : nullptr;
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    A x[kG], r[kG], kept[kS], hj = static_cast<A>(h_prev[j]), cj = 0;
    gather(input, n, j, x);
    gather(recurrent, n, j, r);
    if constexpr (Cell::kHasC) cj = static_cast<A>(c_prev[j]);
    Cell::forward(x, r, hj, cj, kept);
    if constexpr (Cell::kSaved > 0) scatter<kS>(kept, saved, n, j);
    h[j] = static_cast<T>(hj);
    if constexpr (Cell::kHasC) c[j] = static_cast<T>(cj);
  }
}

template <typename Cell, typename T>
void step_row_backward(const CellGradient<T>& s, int64_t b) {
  using A = Acc<T>;
  constexpr int kG = Cell::kGates, kS = kSavedValues<Cell>;
  const int64_t n = s.rows.hidden;
  const T *dy = s.dy + b * n, *h_prev = s.h_prev + b * n, *h = s.h + b * n;
  T *dh = s.dh + b * n, *dinput = s.dinput + b * kG * n;
  T* drecurrent = Cell::kOneGradient ? nullptr : s.drecurrent + b * kG * n;
  const T *c_prev = nullptr, *c = nullptr, *dc_out = nullptr, *saved = nullptr;
  A* dc = nullptr;
  if constexpr (Cell::kHasC) {
    c_prev = s.c_prev + b * n;
    c = s.c + b * n;
    dc_out = s.dc_out + b * n;
    dc = s.dc + b * n;
  }
  if constexpr (Cell::kSaved > 0) saved = s.saved + b * kS * n;
  if (!goes_on(s.rows, b)) {
    std::fill_n(dinput, kG * n, T(A(0)));
    if constexpr (!Cell::kOneGradient) std::fill_n(drecurrent, kG * n, T(A(0)));
    for (int64_t j = 0; j < n; ++j) {
      dh[j] = static_cast<T>(static_cast<A>(dh[j]) + static_cast<A>(dy[j]));
      if constexpr (Cell::kHasC) dc[j] += static_cast<A>(dc_out[j]);
    }
    return;
  }
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    A kept[kS] = {}, dx[kG], dr[kG] = {}, cp = 0, cj = 0, dcj = 0;
    A dhj = static_cast<A>(dh[j]) + static_cast<A>(dy[j]);
    if constexpr (Cell::kSaved > 0) gather(saved, n, j, kept);
    if constexpr (Cell::kHasC) {
      cp = static_cast<A>(c_prev[j]);
      cj = static_cast<A>(c[j]);
      dcj = dc[j] + static_cast<A>(dc_out[j]);
    }
    Cell::backward(kept, static_cast<A>(h_prev[j]), static_cast<A>(h[j]), cp, cj, dhj, dcj, dx, dr);
    scatter<kG>(dx, dinput, n, j);
    if constexpr (!Cell::kOneGradient) scatter<kG>(dr, drecurrent, n, j);
    dh[j] = static_cast<T>(dhj);
    if constexpr (Cell::kHasC) dc[j] = dcj;
  }
}

}  // namespace

template <typename Cell, typename T>
void cell_step(Cpu, const CellStep<T>& step) {
  each_sequence(step.rows, [&](int64_t b) { step_row<Cell>(step, b); });
}

template <typename Cell, typename T>
void cell_step_backward(Cpu, const CellGradient<T>& step) {
  each_sequence(step.rows, [&](int64_t b) { step_row_backward<Cell>(step, b); });
}

#define TRIREME_INSTANTIATE_FOR(Cell, T)                     \
  template void cell_step<Cell, T>(Cpu, const CellStep<T>&); \
  template void cell_step_backward<Cell, T>(Cpu, const CellGradient<T>&);
#define TRIREME_INSTANTIATE(Cell)         \
  TRIREME_INSTANTIATE_FOR(Cell, float)    \
  TRIREME_INSTANTIATE_FOR(Cell, double)   \
  TRIREME_INSTANTIATE_FOR(Cell, BFloat16) \
  TRIREME_INSTANTIATE_FOR(Cell, Float16)
TRIREME_RECURRENT_CELLS(TRIREME_INSTANTIATE)

}  // namespace trireme::kernels
