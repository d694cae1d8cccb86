// Queues one cuDNN kernel: 2 batch out_height out_width out_channels kernel_h kernel_w in_channels
// / groups FLOPs; x, weight and y pass through memory about once. The fastest of cuDNN's first
// guesses is found by timing. A bias is fused where cuDNN can, else one more pass. Where
// cuDNN has no kernel that keeps our promises (f64, f32 without TF32 in some layouts), windows are
// gathered and multiplied by cuBLASLt, some images at a time: the log says so once per shape.

#include <algorithm>
#include <string>

#include "core/base/log.h"
#include "core/cuda/memory.h"
#include "kernels/conv2d.h"
#include "kernels/conv2d_windows.h"
#include "kernels/cudnn_conv2d.h"
#include "kernels/cudnn_types.h"
#include "kernels/fill_copy.h"
#include "kernels/matmul.h"

namespace trireme::kernels {
namespace {

constexpr int kCandidates = 3;  // cuDNN's guesses that are timed; each may have to be compiled
constexpr int64_t kColumnsBytes = int64_t{256} << 20;

std::string text_of(const Conv2dGeometry& g) {
  return concat("[", g.batch, ", ", g.height, ", ", g.width, ", ", g.in_channels, "] with [",
                g.out_channels, ", ", g.kernel_h, ", ", g.kernel_w, ", ", g.in_channels / g.groups,
                "]");
}

CudnnFilter filter_for(const CudnnLibrary& library, cudnnDataType_t type) {
  return {.deterministic = library.options().deterministic,
          .exact_f32 = type == CUDNN_DATA_FLOAT && !library.options().tf32,
          .most = kCandidates};
}

/// Runs cuDNN's kernel; false where it has none.
template <typename T>
bool run_cudnn(Cuda device, CudnnConvolution kind, const Conv2dGeometry& g, const T* x,
               const T* weight, const T* y, const T* bias) {
  CudnnLibrary& library = CudnnLibrary::of(device.index);
  const CudnnConv2d conv{kind, g, cudnn_type<T>, common_alignment(x, weight, y, bias),
                         bias != nullptr};
  CudnnBuilt& built = library.built(key_of(conv), [&] {
    CudnnBuilt made = build_conv2d(library.graph("conv2d"), conv, filter_for(library, conv.type));
    if (made.plans.empty() && !bias) {
      log_info("conv2d: cuDNN has no kernel for ", text_of(g), " in ", dtype_of<T>,
               "; windows are gathered and multiplied");
    }
    return made;
  });
  if (built.plans.empty()) return false;
  library.run(built, {x, weight, y, bias}, device.stream);
  return true;
}

/// Calls fn(windows, columns, first image, group) for some images and one group at a time.
template <typename T, typename Fn>
void each_part(Cuda device, const Conv2dGeometry& g, const Fn& fn) {
  const Windows2d one(g, 1, 0);
  const int64_t bytes = one.pixels() * one.window() * int64_t{sizeof(T)};
  const int64_t most = std::clamp<int64_t>(kColumnsBytes / std::max<int64_t>(1, bytes), 1, g.batch);
  const cuda::Workspace columns(device, most * bytes);
  for (int64_t first = 0; first < g.batch; first += most) {
    for (int64_t group = 0; group < g.groups; ++group) {
      const Windows2d w(g, std::min(most, g.batch - first), group);
      fn(w, columns.as<T>(), first, group);
    }
  }
}

/// One group as matrices: y and columns have a row per pixel, weight one per output channel.
template <typename T>
struct Group {
  const Windows2d& w;
  int64_t number;
  int64_t out() const { return w.g.out_channels / w.g.groups; }
  StridedView<T> y(T* data) const {
    return {data + number * out(), {w.pixels(), out()}, {w.g.out_channels, 1}};
  }
  StridedView<T> weight(T* data) const {
    return {data + number * out() * w.window(), {out(), w.window()}, {w.window(), 1}};
  }
  StridedView<T> columns(T* data) const {
    return {data, {w.pixels(), w.window()}, {w.window(), 1}};
  }
};
template <typename T>
StridedView<const T> flipped(const StridedView<T>& x) {
  return {x.data, {x.shape[1], x.shape[0]}, {x.strides[1], x.strides[0]}};
}

int64_t image_elements(const Conv2dGeometry& g) { return g.height * g.width * g.in_channels; }
int64_t result_elements(const Conv2dGeometry& g) {
  return g.out_height() * g.out_width() * g.out_channels;
}

template <typename T>
void gathered_forward(Cuda device, const Conv2dGeometry& g, const T* x, const T* weight, T* y) {
  each_part<T>(device, g, [&](const Windows2d& w, T* columns, int64_t first, int64_t number) {
    const Group<T> group{w, number};
    gather_windows(device, w, x + first * image_elements(g), columns);
    matmul<T>(device, group.columns(columns), flipped(group.weight(const_cast<T*>(weight))),
              group.y(y + first * result_elements(g)));
  });
}

template <typename T>
void gathered_input_gradient(Cuda device, const Conv2dGeometry& g, const T* dy, const T* weight,
                             T* dx) {
  each_part<T>(device, g, [&](const Windows2d& w, T* columns, int64_t first, int64_t number) {
    const Group<T> group{w, number};
    matmul<T>(device, group.y(const_cast<T*>(dy) + first * result_elements(g)),
              group.weight(const_cast<T*>(weight)), group.columns(columns));
    sum_windows<T>(device, w, columns, dx + first * image_elements(g));
  });
}

template <typename T>
void gathered_weight_gradient(Cuda device, const Conv2dGeometry& g, const T* x, const T* dy,
                              T* dweight) {
  each_part<T>(device, g, [&](const Windows2d& w, T* columns, int64_t first, int64_t number) {
    const Group<T> group{w, number};
    gather_windows(device, w, x + first * image_elements(g), columns);
    matmul<T>(device, flipped(group.y(const_cast<T*>(dy) + first * result_elements(g))),
              group.columns(columns), group.weight(dweight), nullptr,
              first == 0 ? Write::kOverwrite : Write::kAccumulate);
  });
}

template <typename T>
void add_bias(Cuda device, int64_t pixels, int64_t channels, const T* bias, T* y) {
  const Shape shape{pixels, channels};
  const Strides rows{channels, 1}, repeated{0, 1};
  add_scaled_inplace(device, AnyView{y, dtype_of<T>, shape, rows},
                     ConstAnyView{bias, dtype_of<T>, shape, repeated}, 1);
}

}  // namespace

template <typename T>
void conv2d(Cuda device, const Conv2dGeometry& g, const T* x, const T* weight, const T* bias,
            T* y) {
  constexpr auto kKind = CudnnConvolution::kForward;
  if (g.batch == 0) return;
  if (bias && run_cudnn<T>(device, kKind, g, x, weight, y, bias)) return;
  if (!run_cudnn<T>(device, kKind, g, x, weight, y, nullptr)) {
    gathered_forward(device, g, x, weight, y);
  }
  if (bias) add_bias(device, g.batch * g.out_height() * g.out_width(), g.out_channels, bias, y);
}

template <typename T>
void conv2d_input_gradient(Cuda device, const Conv2dGeometry& g, const T* dy, const T* weight,
                           const T* bias, T* dx) {
  constexpr auto kKind = CudnnConvolution::kInputGradient;
  if (g.batch == 0) return;
  if (bias && run_cudnn<T>(device, kKind, g, dx, weight, dy, bias)) return;
  if (!run_cudnn<T>(device, kKind, g, dx, weight, dy, nullptr)) {
    gathered_input_gradient(device, g, dy, weight, dx);
  }
  if (bias) add_bias(device, g.batch * g.height * g.width, g.in_channels, bias, dx);
}

template <typename T>
void conv2d_weight_gradient(Cuda device, const Conv2dGeometry& g, const T* x, const T* dy,
                            T* dweight) {
  constexpr auto kKind = CudnnConvolution::kWeightGradient;
  if (g.batch == 0) {
    const Shape shape{g.out_channels * g.kernel_h * g.kernel_w * (g.in_channels / g.groups)};
    return fill(device, AnyView{dweight, dtype_of<T>, shape, Strides{1}}, 0);
  }
  if (run_cudnn<T>(device, kKind, g, x, dweight, dy, nullptr)) return;
  gathered_weight_gradient(device, g, x, dy, dweight);
}

#define TRIREME_INSTANTIATE(T)                                                                   \
  template void conv2d(Cuda, const Conv2dGeometry&, const T*, const T*, const T*, T*);           \
  template void conv2d_input_gradient(Cuda, const Conv2dGeometry&, const T*, const T*, const T*, \
                                      T*);                                                       \
  template void conv2d_weight_gradient(Cuda, const Conv2dGeometry&, const T*, const T*, T*)
TRIREME_INSTANTIATE(double);
TRIREME_INSTANTIATE(float);
TRIREME_INSTANTIATE(BFloat16);
TRIREME_INSTANTIATE(Float16);
#undef TRIREME_INSTANTIATE

}  // namespace trireme::kernels
