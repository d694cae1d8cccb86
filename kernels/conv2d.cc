#include "kernels/conv2d.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/parallel_for.h"
#include "kernels/gemm.h"
#include "kernels/half_rows.h"
#include "kernels/onednn_conv2d.h"

namespace trireme::kernels {
namespace {

using T = double;

/// One image and one group of a convolution as a matrix product:
/// y[pixel, out] = columns[pixel, window] weight[out, window]^T.
struct Part {
  const Conv2dGeometry& g;
  int64_t image, group;

  int64_t pixels() const { return g.out_height() * g.out_width(); }
  int64_t in() const { return g.in_channels / g.groups; }
  int64_t out() const { return g.out_channels / g.groups; }
  int64_t window() const { return g.kernel_h * g.kernel_w * in(); }

  int64_t x_offset() const { return image * g.height * g.width * g.in_channels + group * in(); }
  int64_t y_offset() const { return image * pixels() * g.out_channels + group * out(); }
  int64_t weight_offset() const { return group * out() * window(); }

  /// Calls fn(element of columns, element of x or -1 in the padding) for each run of in() elements.
  template <typename Fn>
  void each_run(const Fn& fn) const {
    int64_t at = 0;
    for (int64_t oy = 0; oy < g.out_height(); ++oy) {
      for (int64_t ox = 0; ox < g.out_width(); ++ox) {
        for (int64_t ky = 0; ky < g.kernel_h; ++ky) {
          const int64_t y = oy * g.stride_h - g.pad_h + ky * g.dilation_h;
          for (int64_t kx = 0; kx < g.kernel_w; ++kx, at += in()) {
            const int64_t x = ox * g.stride_w - g.pad_w + kx * g.dilation_w;
            const bool inside = y >= 0 && y < g.height && x >= 0 && x < g.width;
            fn(at, inside ? (y * g.width + x) * g.in_channels : -1);
          }
        }
      }
    }
  }

  T* gather(const T* x) const {
    T* columns = scratch<T>(Scratch::kBlock, pixels() * window());
    each_run([&](int64_t to, int64_t from) {
      if (from < 0) {
        std::fill_n(columns + to, in(), T{0});
      } else {
        std::copy_n(x + x_offset() + from, in(), columns + to);
      }
    });
    return columns;
  }
};

}  // namespace

template <>
void conv2d(Cpu, const Conv2dGeometry& g, const double* x, const double* weight, const double* bias,
            double* y) {
  parallel_for(g.batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      for (int64_t group = 0; group < g.groups; ++group) {
        const Part p{g, image, group};
        gemm(p.pixels(), p.out(), p.window(), {p.gather(x), p.window(), 1},
             {weight + p.weight_offset(), 1, p.window()}, y + p.y_offset(), g.out_channels,
             Write::kOverwrite);
      }
    }
  });
  if (!bias) return;
  for (int64_t i = 0; i < g.batch * g.out_height() * g.out_width(); ++i) {
    for (int64_t c = 0; c < g.out_channels; ++c) y[i * g.out_channels + c] += bias[c];
  }
}

template <>
void conv2d_input_gradient(Cpu, const Conv2dGeometry& g, const double* dy, const double* weight,
                           const double* bias, double* dx) {
  const int64_t pixels = g.height * g.width, channels = g.in_channels;
  parallel_for(g.batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * pixels; i < end * pixels; ++i) {
      for (int64_t c = 0; c < channels; ++c) dx[i * channels + c] = bias ? bias[c] : 0.0;
    }
    for (int64_t image = begin; image < end; ++image) {
      for (int64_t group = 0; group < g.groups; ++group) {
        const Part p{g, image, group};
        T* columns = scratch<T>(Scratch::kBlock, p.pixels() * p.window());
        gemm(p.pixels(), p.window(), p.out(), {dy + p.y_offset(), g.out_channels, 1},
             {weight + p.weight_offset(), p.window(), 1}, columns, p.window(), Write::kOverwrite);
        p.each_run([&](int64_t from, int64_t to) {
          if (to < 0) return;
          T* sum = dx + p.x_offset() + to;
          for (int64_t c = 0; c < p.in(); ++c) sum[c] += columns[from + c];
        });
      }
    }
  });
}

template <>
void conv2d_weight_gradient(Cpu, const Conv2dGeometry& g, const double* x, const double* dy,
                            double* dweight) {
  const int64_t count = g.out_channels * g.kernel_h * g.kernel_w * (g.in_channels / g.groups);
  std::fill_n(dweight, count, 0.0);
  // Images one after another, so that the sums have one order.
  for (int64_t image = 0; image < g.batch; ++image) {
    for (int64_t group = 0; group < g.groups; ++group) {
      const Part p{g, image, group};
      gemm(p.out(), p.window(), p.pixels(), {dy + p.y_offset(), 1, g.out_channels},
           {p.gather(x), p.window(), 1}, dweight + p.weight_offset(), p.window(),
           Write::kAccumulate);
    }
  }
}

namespace {

int64_t x_elements(const Conv2dGeometry& g) { return g.batch * g.height * g.width * g.in_channels; }
int64_t y_elements(const Conv2dGeometry& g) {
  return g.batch * g.out_height() * g.out_width() * g.out_channels;
}
int64_t weight_elements(const Conv2dGeometry& g) {
  return g.out_channels * g.kernel_h * g.kernel_w * (g.in_channels / g.groups);
}

/// The arrays of one call in f32: `get` hands them out in order.
class Widened {
 public:
  explicit Widened(int64_t count) : next_(scratch<float>(Scratch::kWidened, count)) {}
  float* get(int64_t count) { return std::exchange(next_, next_ + count); }
  template <typename T>
  float* get(const T* values, int64_t count) {
    float* to = get(count);
    parallel_for(count, 1 << 15, [&](int64_t begin, int64_t end) {
      convert_row(to + begin, values + begin, end - begin);
    });
    return to;
  }

 private:
  float* next_;
};

template <typename T>
void round_into(T* to, const float* from, int64_t count) {
  parallel_for(count, 1 << 15, [&](int64_t begin, int64_t end) {
    convert_row(to + begin, from + begin, end - begin);
  });
}

template <typename T>
constexpr bool kIsOnednnType = std::is_same_v<T, float> || std::is_same_v<T, BFloat16>;

/// The elements of the gradient in working memory, not rounded to T yet.
template <typename T>
float* input_gradient_sums(const Conv2dGeometry& g, const T* dy, const T* weight) {
  if constexpr (kIsOnednnType<T>) {
    float* sums = Widened(x_elements(g)).get(x_elements(g));
    if (onednn_conv2d_input_gradient(g, dy, weight, sums)) return sums;
  }
  Widened wide(x_elements(g) + weight_elements(g) + y_elements(g));
  const float* wide_dy = wide.get(dy, y_elements(g));
  const float* wide_weight = wide.get(weight, weight_elements(g));
  float* sums = wide.get(x_elements(g));
  onednn_conv2d_input_gradient(g, wide_dy, wide_weight, sums);
  return sums;
}

/// sums[.., channels] += bias[channels].
template <typename T>
void add_bias(float* sums, int64_t count, const T* bias, int64_t channels) {
  const std::vector<float> shift(bias, bias + channels);
  parallel_for(count / channels, std::max<int64_t>(1, (1 << 15) / channels),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   float* to = sums + row * channels;
                   for (int64_t c = 0; c < channels; ++c) to[c] += shift[static_cast<size_t>(c)];
                 }
               });
}

}  // namespace

template <typename T>
void conv2d(Cpu, const Conv2dGeometry& g, const T* x, const T* weight, const T* bias, T* y) {
  if constexpr (kIsOnednnType<T>) {
    if (onednn_conv2d(g, x, weight, bias, y)) return;
  }
  if constexpr (is_half<T>) {
    Widened wide(x_elements(g) + weight_elements(g) + g.out_channels + y_elements(g));
    const float* wide_x = wide.get(x, x_elements(g));
    const float* wide_weight = wide.get(weight, weight_elements(g));
    const float* wide_bias = bias ? wide.get(bias, g.out_channels) : nullptr;
    float* wide_y = wide.get(y_elements(g));
    onednn_conv2d(g, wide_x, wide_weight, wide_bias, wide_y);
    round_into(y, wide_y, y_elements(g));
  }
}

template <typename T>
void conv2d_input_gradient(Cpu, const Conv2dGeometry& g, const T* dy, const T* weight,
                           const T* bias, T* dx) {
  const int64_t count = x_elements(g);
  if constexpr (is_half<T>) {
    if constexpr (kIsOnednnType<T>) {
      if (!bias && onednn_conv2d_input_gradient(g, dy, weight, dx)) return;
    }
    float* sums = input_gradient_sums(g, dy, weight);
    if (bias) add_bias(sums, count, bias, g.in_channels);
    round_into(dx, sums, count);
  } else {
    onednn_conv2d_input_gradient(g, dy, weight, dx);
    if (bias) add_bias(dx, count, bias, g.in_channels);
  }
}

template <typename T>
void conv2d_weight_gradient(Cpu, const Conv2dGeometry& g, const T* x, const T* dy, T* dweight) {
  if constexpr (kIsOnednnType<T>) {
    if (onednn_conv2d_weight_gradient(g, x, dy, dweight)) return;
  }
  if constexpr (is_half<T>) {
    Widened wide(x_elements(g) + weight_elements(g) + y_elements(g));
    const float* wide_x = wide.get(x, x_elements(g));
    const float* wide_dy = wide.get(dy, y_elements(g));
    float* wide_dweight = wide.get(weight_elements(g));
    onednn_conv2d_weight_gradient(g, wide_x, wide_dy, wide_dweight);
    round_into(dweight, wide_dweight, weight_elements(g));
  }
}

#define TRIREME_INSTANTIATE(T)                                                                  \
  template void conv2d(Cpu, const Conv2dGeometry&, const T*, const T*, const T*, T*);           \
  template void conv2d_input_gradient(Cpu, const Conv2dGeometry&, const T*, const T*, const T*, \
                                      T*);                                                      \
  template void conv2d_weight_gradient(Cpu, const Conv2dGeometry&, const T*, const T*, T*);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(BFloat16)
TRIREME_INSTANTIATE(Float16)
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
