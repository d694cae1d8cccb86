// The sum of squares of a chunk, by one group, in f64.

#pragma once

#include <cmath>

#include "kernels/cuda/group.h"
#include "kernels/cuda/pack.h"

namespace trireme::kernels {

/// Over elements [begin, end) of x; packs of W are read where `is_packed`, begin a multiple of W.
template <int W, typename T, typename Group>
TRIREME_HD double squares_of_chunk(const Group& group, const T* x, bool is_packed, int64_t begin,
                                   int64_t end) {
  double sum = 0;
  const int64_t packs_end = is_packed ? begin + (end - begin) / W * W : begin;
  const int64_t step = int64_t{group.size()} * W;
  for (int64_t i = begin + int64_t{group.rank()} * W; i < packs_end; i += step) {
    Acc<T> v[W];
    load_values<W>(x + i, v);
    TRIREME_UNROLL
    for (int k = 0; k < W; ++k) sum += static_cast<double>(v[k]) * static_cast<double>(v[k]);
  }
  for (int64_t i = packs_end + group.rank(); i < end; i += group.size()) {
    const auto v = static_cast<double>(static_cast<Acc<T>>(x[i]));
    sum += v * v;
  }
  return group_sum(group, sum);
}

/// norm_to_factor's arithmetic (kernels/global_norm.h).
TRIREME_HD inline double factor_for(double norm, double loss_scale, double max_norm,
                                    double otherwise) {
  if (!(norm <= 1.7976931348623157e308)) return otherwise;  // inf, nan
  const double clip = max_norm > 0 && norm > max_norm ? max_norm / norm : 1;
  return clip / loss_scale;
}

}  // namespace trireme::kernels
