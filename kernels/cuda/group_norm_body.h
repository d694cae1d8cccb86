// Group normalisation of one image's group and its gradient, by one group of threads.
//
// Elements of a group are counted as packs of W neighbouring channels, positions one after the
// other. What a thread needs twice it reads twice, from the caches.

#pragma once

#include <cmath>

#include "kernels/cuda/divide.h"
#include "kernels/cuda/group.h"
#include "kernels/cuda/norm_body.h"
#include "kernels/group_norm.h"

namespace trireme::kernels {

/// Where the elements of row r = image * groups + group lie. Requires a group of fewer than 2^31
/// packs.
template <int W>
struct GroupedRow {
  int64_t first;    // of the group's first element
  int64_t channel;  // its channel
  int64_t channels;
  int64_t packs;
  FastDivisor packs_per_position;

  TRIREME_HD GroupedRow(const GroupedImages& of, const FastDivisor& per_position, int64_t r)
      : channel(r % of.groups * of.width()),
        channels(of.channels),
        packs(of.positions * of.width() / W),
        packs_per_position(per_position) {
    first = r / of.groups * of.positions * of.channels + channel;
  }

  /// Calls fn(offset, channel) for the packs of this member.
  template <typename Group, typename Fn>
  TRIREME_HD void each(const Group& group, const Fn& fn) const {
    for (int64_t i = group.rank(); i < packs; i += group.size()) {
      const auto n = static_cast<uint32_t>(i);
      const uint32_t position = packs_per_position.quotient(n);
      const int64_t c = int64_t{n - position * packs_per_position.divisor()} * W;
      fn(first + int64_t{position} * channels + c, channel + c);
    }
  }
};

template <typename T>
struct GroupNormForward {
  GroupedImages of;
  FastDivisor packs_per_position;
  const T *x, *gamma, *beta;
  Acc<T> eps;
  T* y;
  Acc<T>*mean, *rstd;

  /// Three passes: mean, squared deviations from it, result.
  template <int W, typename Group>
  TRIREME_HD void row(const Group& group, int64_t r) const {
    using A = Acc<T>;
    const GroupedRow<W> row(of, packs_per_position, r);
    const A per_element = A(1) / static_cast<A>(of.positions * of.width());
    A sum = 0;
    row.each(group, [&](int64_t at, int64_t) {
      A v[W];
      load_values<W>(x + at, v);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) sum += v[k];
    });
    const A center = group_sum(group, sum) * per_element;
    A squares = 0;
    row.each(group, [&](int64_t at, int64_t) {
      A v[W];
      load_values<W>(x + at, v);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) squares += (v[k] - center) * (v[k] - center);
    });
    const A scale = A(1) / std::sqrt(group_sum(group, squares) * per_element + eps);
    row.each(group, [&](int64_t at, int64_t c) {
      A v[W];
      load_values<W>(x + at, v);
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) v[k] = (v[k] - center) * scale;
      apply_factors<W>(gamma, beta, c, v);
      store_values<W>(y + at, v);
    });
    if (group.rank() != 0) return;
    mean[r] = center;
    rstd[r] = scale;
  }
};

template <typename T>
struct GroupNormBackward {
  GroupedImages of;
  FastDivisor packs_per_position;
  const T *x, *gamma;
  const Acc<T>*mean, *rstd;
  const T* dy;
  T* dx;

  template <int W, typename Group>
  TRIREME_HD void row(const Group& group, int64_t r) const {
    using A = Acc<T>;
    const GroupedRow<W> row(of, packs_per_position, r);
    const A center = mean[r], scale = rstd[r];
    // fn(offset, xhat, dy gamma).
    const auto each = [&](const auto& fn) {
      row.each(group, [&](int64_t at, int64_t c) {
        A xhat[W], g[W];
        load_values<W>(x + at, xhat);
        load_values<W>(dy + at, g);
        apply_factors<W, T>(gamma, nullptr, c, g);
        TRIREME_UNROLL
        for (int k = 0; k < W; ++k) xhat[k] = (xhat[k] - center) * scale;
        fn(at, xhat, g);
      });
    };
    Two<A> part{0, 0};
    each([&](int64_t, A(&xhat)[W], A(&g)[W]) {
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) part = part + Two<A>{g[k], g[k] * xhat[k]};
    });
    const Two<A> total = group_sum(group, part);
    const A per_element = A(1) / static_cast<A>(of.positions * of.width());
    const A mean_g = total.first * per_element, mean_gx = total.second * per_element;
    each([&](int64_t at, A(&xhat)[W], A(&g)[W]) {
      TRIREME_UNROLL
      for (int k = 0; k < W; ++k) g[k] = (g[k] - mean_g - xhat[k] * mean_gx) * scale;
      store_values<W>(dx + at, g);
    });
  }
};

/// Terms of dgamma and dbeta: dy xhat and dy, over the rows [batch * positions].
template <typename T>
struct GroupNormTerms {
  static constexpr int kSums = 2;
  GroupedImages of;
  const T* x;
  const Acc<T>*mean, *rstd;
  const T* dy;
  template <int W>
  TRIREME_HD void operator()(int64_t r, int64_t c, Acc<T> (&terms)[2][W]) const {
    load_values<W>(x + r * of.channels + c, terms[0]);
    load_values<W>(dy + r * of.channels + c, terms[1]);
    const int64_t first = r / of.positions * of.groups;
    for (int k = 0; k < W; ++k) {
      const int64_t at = first + (c + k) / of.width();
      terms[0][k] = (terms[0][k] - mean[at]) * rstd[at] * terms[1][k];
    }
  }
};

}  // namespace trireme::kernels
