#include "kernels/reduce.h"

#include <algorithm>

#include "core/base/parallel_for.h"
#include "kernels/strided_loop.h"

namespace trireme::kernels {
namespace {

// Columns handled together: values and indices stay in the first-level cache.
constexpr int64_t kColumns = 256;

// Whether a beats b; a NaN beats any number.
struct Larger {
  template <typename T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct Smaller {
  template <typename T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};

// Index of the best of n dense elements: a pass of vector code for the value, then a search.
template <typename Better, typename T>
int64_t place_of_best(const T* x, int64_t n) {
  constexpr Better kBetter;
  constexpr int kLanes = 32;
  T lanes[kLanes];
  std::fill_n(lanes, kLanes, x[0]);
  bool has_nan = false;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    bool nan = false;
    for (int k = 0; k < kLanes; ++k) {
      lanes[k] = kBetter(x[i + k], lanes[k]) ? x[i + k] : lanes[k];
      nan |= x[i + k] != x[i + k];
    }
    has_nan |= nan;
  }
  for (; i < n; ++i) {
    lanes[0] = kBetter(x[i], lanes[0]) ? x[i] : lanes[0];
    has_nan |= x[i] != x[i];
  }
  if (has_nan) return std::find_if(x, x + n, [](T v) { return v != v; }) - x;
  const T best = *std::min_element(lanes, lanes + kLanes, kBetter);
  return std::find(x, x + n, best) - x;
}

template <typename Better, typename T>
void best_of_rows(const T* x, int64_t rows, int64_t n, T* values, int64_t* indices) {
  for (int64_t r = 0; r < rows; ++r) {
    indices[r] = place_of_best<Better>(x + r * n, n);
    if (values) values[r] = x[r * n + indices[r]];
  }
}

// Elements [begin, end) of the result, where columns lie dense: row after row, all columns at once.
template <typename Better, typename T>
void best_of_columns(const T* x, int64_t n, int64_t inner, int64_t begin, int64_t end, T* values,
                     int64_t* indices) {
  constexpr Better kBetter;
  for (int64_t at = begin; at < end;) {
    const int64_t o = at / inner, column = at % inner;
    const int64_t columns = std::min({inner - column, end - at, kColumns});
    const T* from = x + o * n * inner + column;
    T best[kColumns];
    int64_t* where = indices + at;
    std::copy_n(from, columns, best);
    std::fill_n(where, columns, int64_t{0});
    for (int64_t k = 1; k < n; ++k) {
      const T* row = from + k * inner;
      for (int64_t c = 0; c < columns; ++c) {
        const T v = row[c];
        const bool better = kBetter(v, best[c]) || (v != v && best[c] == best[c]);
        best[c] = better ? row[c] : best[c];
        where[c] = better ? k : where[c];
      }
    }
    if (values) std::copy_n(best, columns, values + at);
    at += columns;
  }
}

template <typename Better, typename T>
void best_along(const T* x, int64_t outer, int64_t n, int64_t inner, T* values, int64_t* indices) {
  const int64_t grain = std::max<int64_t>(1, kPointwiseGrain / n);
  parallel_for(outer * inner, grain, [=](int64_t begin, int64_t end) {
    if (inner == 1) {
      best_of_rows<Better>(x + begin * n, end - begin, n, values ? values + begin : nullptr,
                           indices + begin);
    } else {
      best_of_columns<Better>(x, n, inner, begin, end, values, indices);
    }
  });
}

}  // namespace

template <typename T>
void max_along(Cpu, const T* x, int64_t outer, int64_t n, int64_t inner, T* values,
               int64_t* indices) {
  best_along<Larger>(x, outer, n, inner, values, indices);
}

template <typename T>
void min_along(Cpu, const T* x, int64_t outer, int64_t n, int64_t inner, int64_t* indices) {
  best_along<Smaller>(x, outer, n, inner, static_cast<T*>(nullptr), indices);
}

template <typename T>
void scatter_along(Cpu, const T* dy, const int64_t* indices, int64_t outer, int64_t n,
                   int64_t inner, T* dx) {
  parallel_for(outer, std::max<int64_t>(1, kPointwiseGrain / std::max<int64_t>(1, n * inner)),
               [=](int64_t begin, int64_t end) {
                 std::fill(dx + begin * n * inner, dx + end * n * inner, T{0});
                 for (int64_t o = begin; o < end; ++o) {
                   for (int64_t c = 0; c < inner; ++c) {
                     dx[(o * n + indices[o * inner + c]) * inner + c] = dy[o * inner + c];
                   }
                 }
               });
}

#define TRIREME_INSTANTIATE(T)                                                     \
  template void max_along(Cpu, const T*, int64_t, int64_t, int64_t, T*, int64_t*); \
  template void min_along(Cpu, const T*, int64_t, int64_t, int64_t, int64_t*);
TRIREME_INSTANTIATE(double)
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
TRIREME_INSTANTIATE(int64_t)
TRIREME_INSTANTIATE(int32_t)
TRIREME_INSTANTIATE(uint8_t)
TRIREME_INSTANTIATE(bool)
template void scatter_along(Cpu, const double*, const int64_t*, int64_t, int64_t, int64_t, double*);
template void scatter_along(Cpu, const float*, const int64_t*, int64_t, int64_t, int64_t, float*);
template void scatter_along(Cpu, const BFloat16*, const int64_t*, int64_t, int64_t, int64_t,
                            BFloat16*);
template void scatter_along(Cpu, const Float16*, const int64_t*, int64_t, int64_t, int64_t,
                            Float16*);

}  // namespace trireme::kernels
