// How references of ops on images [batch, height, width, channels] reach their elements.

#pragma once

#include "tests/ops/op_harness.h"

namespace trireme::testing {

/// Element (n, y, x, c), or `outside` where y or x leave the image.
inline double at(const Array& a, int64_t n, int64_t y, int64_t x, int64_t c, double outside = 0) {
  if (y < 0 || y >= a.shape[1] || x < 0 || x >= a.shape[2]) return outside;
  return a[((n * a.shape[1] + y) * a.shape[2] + x) * a.shape[3] + c];
}

/// Calls fn(element, n, y, x, c) for every element of `out`.
template <typename Fn>
Array each(Array out, const Fn& fn) {
  const Shape& s = out.shape;
  for (int64_t i = 0; i < s.product(); ++i) {
    fn(out[i], i / (s[1] * s[2] * s[3]), i / (s[2] * s[3]) % s[1], i / s[3] % s[2], i % s[3]);
  }
  return out;
}

inline int64_t extent(int64_t size, int64_t kernel, int64_t stride, int64_t pad,
                      int64_t dilation = 1) {
  return (size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
}

inline Reference conv2d_reference(const Conv2dOptions& o) {
  return [o](const Arrays& in) {
    const Array &x = in[0], &w = in[1];
    const int64_t out = w.shape[0] / o.groups, inner = w.shape[3];
    const Shape shape{
        x.shape[0], extent(x.shape[1], w.shape[1], o.stride[0], o.padding[0], o.dilation[0]),
        extent(x.shape[2], w.shape[2], o.stride[1], o.padding[1], o.dilation[1]), w.shape[0]};
    return each(Array::zeros(shape), [&](double& y, int64_t n, int64_t r, int64_t col, int64_t c) {
      if (in.size() > 2) y = in[2][c];
      for (int64_t i = 0; i < w.shape[1]; ++i) {
        for (int64_t j = 0; j < w.shape[2]; ++j) {
          for (int64_t k = 0; k < inner; ++k) {
            y += at(w, c, i, j, k) * at(x, n, r * o.stride[0] - o.padding[0] + i * o.dilation[0],
                                        col * o.stride[1] - o.padding[1] + j * o.dilation[1],
                                        c / out * inner + k);
          }
        }
      }
    });
  };
}

/// Every element of x adds its filter, times itself, to the result.

}  // namespace trireme::testing
