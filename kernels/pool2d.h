// Pooling of images whose channels lie last: the largest or the mean element of each window, and
// the gradients. Channels are independent and lie in vectors.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/host_device.h"

namespace trireme::kernels {

/// Windows along one dimension: output o sees inputs [begin(o), end(o)), cut to [0, size).
struct Windows {
  int64_t size, out;
  int64_t kernel = 0, stride = 1, pad = 0;
  bool adaptive = false;  // `out` windows that cover the input evenly; kernel, stride, pad unused

  TRIREME_HD int64_t begin(int64_t o) const {
    if (adaptive) return o * size / out;
    const int64_t first = o * stride - pad;
    return first < 0 ? 0 : first;
  }
  TRIREME_HD int64_t end(int64_t o) const {
    if (adaptive) return ((o + 1) * size + out - 1) / out;
    const int64_t last = o * stride - pad + kernel;
    return last > size ? size : last;
  }
  /// Where window o begins, in the padding too; not of adaptive windows.
  TRIREME_HD int64_t origin(int64_t o) const { return o * stride - pad; }
  /// Windows [first_over(i), end_over(i)) are those that may hold input i.
  TRIREME_HD int64_t first_over(int64_t i) const {
    if (adaptive) return i * out / size;
    const int64_t before = i + pad - kernel + stride;  // the first begins behind i - kernel
    return before < 0 ? 0 : before / stride;
  }
  TRIREME_HD int64_t end_over(int64_t i) const {
    const int64_t end = adaptive ? ((i + 1) * out - 1) / size + 1 : (i + pad) / stride + 1;
    return end > out ? out : end;
  }
};

/// x: [batch, rows.size, cols.size, channels], y: [batch, rows.out, cols.out, channels], dense.
struct Pool2dGeometry {
  int64_t batch, channels;
  Windows rows, cols;
};

/// y = largest element of each window, the first of equal ones; `where` [like y] is its place in
/// the window, r * cols.kernel + c, for the gradient; the padding counts, so that one window's
/// places are as another's. NaN wins. Place is uint8_t, enough for kMostBytePlaces, or int32_t. The
/// windows must not be adaptive.
template <typename T, typename Place>
void max_pool2d(Cpu, const Pool2dGeometry& g, const T* x, T* y, Place* where);
template <typename T, typename Place>
void max_pool2d(Cuda, const Pool2dGeometry& g, const T* x, T* y, Place* where);
/// dx = the sum of the dy whose `where` is the pixel.
template <typename T, typename Place>
void max_pool2d_backward(Cpu, const Pool2dGeometry& g, const T* dy, const Place* where, T* dx);
template <typename T, typename Place>
void max_pool2d_backward(Cuda, const Pool2dGeometry& g, const T* dy, const Place* where, T* dx);

/// Elements of a window up to which places are bytes; cuDNN's have a sign.
inline constexpr int64_t kMostBytePlaces = 127;

/// y = mean of each window, its part in the padding not counted.
template <typename T>
void avg_pool2d(Cpu, const Pool2dGeometry& g, const T* x, T* y);
template <typename T>
void avg_pool2d(Cuda, const Pool2dGeometry& g, const T* x, T* y);
template <typename T>
void avg_pool2d_backward(Cpu, const Pool2dGeometry& g, const T* dy, T* dx);
template <typename T>
void avg_pool2d_backward(Cuda, const Pool2dGeometry& g, const T* dy, T* dx);

}  // namespace trireme::kernels
