// What one thread of pooling does, for host and device: W neighbouring channels of one pixel.
//
// Backward gathers: a pixel of dx asks the windows that may hold it. So nothing is added to memory
// by two threads, and the sums have one order.

#pragma once

#include <cstdint>

#include "kernels/cuda/pack.h"
#include "kernels/pool2d.h"

namespace trireme::kernels {

/// Where element i of [batch, rows, cols, channels] lies. Division in `Index`: 32 bits where the
/// tensor has fewer elements, which takes a third of the time.
struct PixelAt {
  int64_t image, row, col, channel;
};
template <typename Index>
TRIREME_HD PixelAt pixel_at(int64_t i, int64_t rows, int64_t cols, int64_t channels) {
  const auto element = static_cast<Index>(i), n = static_cast<Index>(channels);
  const Index pixel = element / n, line = pixel / static_cast<Index>(cols);
  const Index image = line / static_cast<Index>(rows);
  return {static_cast<int64_t>(image),
          static_cast<int64_t>(line - image * static_cast<Index>(rows)),
          static_cast<int64_t>(pixel - line * static_cast<Index>(cols)),
          static_cast<int64_t>(element - pixel * n)};
}

template <typename T, typename Index, typename Place>
struct MaxPoolBody {
  Pool2dGeometry g;
  const T* x;
  T* y;
  Place* where;

  template <int W>
  TRIREME_HD void run(int64_t i) const {
    using A = Acc<T>;
    const PixelAt o = pixel_at<Index>(i, g.rows.out, g.cols.out, g.channels);
    const T* image = x + o.image * g.rows.size * g.cols.size * g.channels + o.channel;
    A most[W] = {};
    Pack<Place, W> place{};
    bool is_first = true;
    const int64_t top = g.rows.origin(o.row), left = g.cols.origin(o.col);
    const int64_t row_end = g.rows.end(o.row), col_end = g.cols.end(o.col);
    for (int64_t r = g.rows.begin(o.row); r < row_end; ++r) {
      for (int64_t c = g.cols.begin(o.col); c < col_end; ++c) {
        const auto at = static_cast<Place>((r - top) * g.cols.kernel + c - left);
        A v[W];
        load_values<W>(image + (r * g.cols.size + c) * g.channels, v);
        TRIREME_UNROLL
        for (int k = 0; k < W; ++k) {
          // False for a NaN in most only: that stays.
          const bool larger = is_first || v[k] > most[k] || (v[k] != v[k] && most[k] == most[k]);
          most[k] = larger ? v[k] : most[k];
          place.v[k] = larger ? at : place.v[k];
        }
        is_first = false;
      }
    }
    store_values<W>(y + i, most);
    store_pack(where + i, place);
  }
};

template <typename T, typename Index, typename Place>
struct MaxPoolBackwardBody {
  Pool2dGeometry g;
  const T* dy;
  const Place* where;
  T* dx;

  template <int W>
  TRIREME_HD void run(int64_t i) const {
    using A = Acc<T>;
    const PixelAt p = pixel_at<Index>(i, g.rows.size, g.cols.size, g.channels);
    const int64_t image = p.image * g.rows.out * g.cols.out * g.channels + p.channel;
    A sum[W] = {};
    const int64_t row_end = g.rows.end_over(p.row), col_end = g.cols.end_over(p.col);
    for (int64_t r = g.rows.first_over(p.row); r < row_end; ++r) {
      for (int64_t c = g.cols.first_over(p.col); c < col_end; ++c) {
        const int64_t at = image + (r * g.cols.out + c) * g.channels;
        A v[W];
        load_values<W>(dy + at, v);
        const auto place = load_pack<W>(where + at);
        const auto own = static_cast<Place>((p.row - g.rows.origin(r)) * g.cols.kernel + p.col -
                                            g.cols.origin(c));
        TRIREME_UNROLL
        for (int k = 0; k < W; ++k) sum[k] += place.v[k] == own ? v[k] : A(0);
      }
    }
    store_values<W>(dx + i, sum);
  }
};

template <typename T, typename Index>
struct AvgPoolBody {
  Pool2dGeometry g;
  const T* x;
  T* y;

  template <int W>
  TRIREME_HD void run(int64_t i) const {
    using A = Acc<T>;
    const PixelAt o = pixel_at<Index>(i, g.rows.out, g.cols.out, g.channels);
    const T* image = x + o.image * g.rows.size * g.cols.size * g.channels + o.channel;
    const int64_t row = g.rows.begin(o.row), row_end = g.rows.end(o.row);
    const int64_t col = g.cols.begin(o.col), col_end = g.cols.end(o.col);
    A sum[W] = {};
    for (int64_t r = row; r < row_end; ++r) {
      for (int64_t c = col; c < col_end; ++c) {
        A v[W];
        load_values<W>(image + (r * g.cols.size + c) * g.channels, v);
        TRIREME_UNROLL
        for (int k = 0; k < W; ++k) sum[k] += v[k];
      }
    }
    const A share = A(1) / static_cast<A>((row_end - row) * (col_end - col));
    for (int k = 0; k < W; ++k) sum[k] *= share;
    store_values<W>(y + i, sum);
  }
};

template <typename T, typename Index>
struct AvgPoolBackwardBody {
  Pool2dGeometry g;
  const T* dy;
  T* dx;

  template <int W>
  TRIREME_HD void run(int64_t i) const {
    using A = Acc<T>;
    const PixelAt p = pixel_at<Index>(i, g.rows.size, g.cols.size, g.channels);
    const T* image = dy + p.image * g.rows.out * g.cols.out * g.channels + p.channel;
    A sum[W] = {};
    const int64_t row_end = g.rows.end_over(p.row), col_end = g.cols.end_over(p.col);
    for (int64_t r = g.rows.first_over(p.row); r < row_end; ++r) {
      const int64_t top = g.rows.begin(r), bottom = g.rows.end(r);
      if (p.row < top || p.row >= bottom) continue;
      for (int64_t c = g.cols.first_over(p.col); c < col_end; ++c) {
        const int64_t left = g.cols.begin(c), right = g.cols.end(c);
        if (p.col < left || p.col >= right) continue;
        const A share = A(1) / static_cast<A>((bottom - top) * (right - left));
        A v[W];
        load_values<W>(image + (r * g.cols.out + c) * g.channels, v);
        TRIREME_UNROLL
        for (int k = 0; k < W; ++k) sum[k] += share * v[k];
      }
    }
    store_values<W>(dx + i, sum);
  }
};

}  // namespace trireme::kernels
