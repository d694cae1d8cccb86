// Convolution as a product with gathered windows, for what cuDNN has no kernel for: the index
// arithmetic, for host and device.
//
//   columns[pixel, ky, kx, c] = x[pixel's window]          (0 in the padding)
//   y[pixel, out] = columns[pixel, window] weight[out, window]^T
//
// One group at a time; pixels are those of some of the images.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/half.h"
#include "core/base/host_device.h"
#include "kernels/conv2d.h"

namespace trireme::kernels {

/// `images` images from `x`, and channels [first_channel, first_channel + channels) of them.
struct Windows2d {
  Conv2dGeometry g;
  int64_t images, first_channel, channels;
  int64_t out_height, out_width;

  Windows2d(const Conv2dGeometry& geometry, int64_t image_count, int64_t group)
      : g(geometry),
        images(image_count),
        first_channel(group * (geometry.in_channels / geometry.groups)),
        channels(geometry.in_channels / geometry.groups),
        out_height(geometry.out_height()),
        out_width(geometry.out_width()) {}

  TRIREME_HD int64_t pixels() const { return images * out_height * out_width; }
  TRIREME_HD int64_t window() const { return g.kernel_h * g.kernel_w * channels; }

  /// Element of x that element `i` of columns [pixels, window] is; -1 in the padding.
  TRIREME_HD int64_t source_of(int64_t i) const {
    const int64_t c = i % channels;
    i /= channels;
    const int64_t kx = i % g.kernel_w;
    i /= g.kernel_w;
    const int64_t ky = i % g.kernel_h;
    i /= g.kernel_h;
    const int64_t ox = i % out_width;
    i /= out_width;
    const int64_t oy = i % out_height;
    const int64_t image = i / out_height;
    const int64_t y = oy * g.stride_h - g.pad_h + ky * g.dilation_h;
    const int64_t x = ox * g.stride_w - g.pad_w + kx * g.dilation_w;
    if (y < 0 || y >= g.height || x < 0 || x >= g.width) return -1;
    return ((image * g.height + y) * g.width + x) * g.in_channels + first_channel + c;
  }

  /// dx element number `i` of [images, height, width, channels]: the sum of all elements of columns
  /// that it went to, in the order of the window.
  template <typename T>
  TRIREME_HD Acc<T> gathered(int64_t i, const T* columns) const {
    const int64_t c = i % channels;
    i /= channels;
    const int64_t x = i % g.width;
    i /= g.width;
    const int64_t y = i % g.height, image = i / g.height;
    Acc<T> sum = 0;
    for (int64_t ky = 0; ky < g.kernel_h; ++ky) {
      const int64_t down = y + g.pad_h - ky * g.dilation_h;
      if (down < 0 || down % g.stride_h != 0 || down / g.stride_h >= out_height) continue;
      for (int64_t kx = 0; kx < g.kernel_w; ++kx) {
        const int64_t right = x + g.pad_w - kx * g.dilation_w;
        if (right < 0 || right % g.stride_w != 0 || right / g.stride_w >= out_width) continue;
        const int64_t pixel =
            (image * out_height + down / g.stride_h) * out_width + right / g.stride_w;
        sum += static_cast<Acc<T>>(
            columns[((pixel * g.kernel_h + ky) * g.kernel_w + kx) * channels + c]);
      }
    }
    return sum;
  }
  /// Where that element lies in dx.
  TRIREME_HD int64_t place_of(int64_t i) const {
    return i / channels * g.in_channels + first_channel + i % channels;
  }
};

/// columns[pixels, window] = x's windows. One thread per element: reads each x about kernel_h
/// kernel_w times, mostly from cache, writes columns once.
template <typename T>
void gather_windows(Cuda, const Windows2d& w, const T* x, T* columns);

/// dx = the sum over its windows of columns, in one order. One thread per element of dx.
template <typename T>
void sum_windows(Cuda, const Windows2d& w, const T* columns, T* dx);

}  // namespace trireme::kernels
