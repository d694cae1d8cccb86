#include "kernels/pool2d.h"

#include <algorithm>
#include <limits>

#include "core/autograd/attach.h"
#include "core/ops/as_rows.h"
#include "core/ops/check.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"

namespace trireme {
namespace {

using kernels::Pool2dGeometry;
using kernels::Windows;

void check_images(const char* op, const Tensor& x) {
  detail::check_operand(op, x);
  require(x.rank() == 4, op, "x must be [batch, height, width, channels], got ", x.shape());
  require(x.size(1) * x.size(2) <= std::numeric_limits<int32_t>::max(), op,
          "images have too many pixels, got ", x.shape());
}

Pool2dGeometry geometry_of(const char* op, const Tensor& x, const Pool2dOptions& o) {
  check_images(op, x);
  Windows windows[2];
  for (int i = 0; i < 2; ++i) {
    const int64_t size = x.size(1 + i), stride = o.stride[i] == 0 ? o.kernel[i] : o.stride[i];
    require(o.kernel[i] >= 1 && stride >= 1 && o.padding[i] >= 0 && o.padding[i] <= o.kernel[i] / 2,
            op, "kernel and stride must be at least 1 and padding at most half the kernel, got ",
            o.kernel[i], ", ", stride, " and ", o.padding[i]);
    require(std::max(o.kernel[i], stride) <= std::numeric_limits<int32_t>::max(), op,
            "kernel and stride must be at most 2147483647, got ", o.kernel[i], " and ", stride);
    require(size >= 1 && o.kernel[i] <= size + 2 * o.padding[i], op, "a window of ", o.kernel[i],
            " must fit into x ", x.shape(), " padded by ", o.padding[i]);
    windows[i] = {size, (size + 2 * o.padding[i] - o.kernel[i]) / stride + 1, o.kernel[i], stride,
                  o.padding[i]};
  }
  return {x.size(0), x.size(3), windows[0], windows[1]};
}

Tensor average(const char* op, const Tensor& x, const Pool2dGeometry& g);

/// The gradient of average. Both are linear, and each is the other's transpose.
Tensor spread(const char* op, const Tensor& dy, const Shape& shape, const Pool2dGeometry& g) {
  const Tensor upstream = dense(dy);
  Tensor dx = empty(shape, {dy.dtype(), dy.device()});
  dispatch_floating(op, dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(dy.device(), [&](auto device) {
      kernels::avg_pool2d_backward<T>(device, g, upstream.data<T>(), dx.data<T>());
    });
  });
  return attach(differentiable(op), std::move(dx),
                wrt(dy, [op, g](const Tensor& d) { return average(op, d, g); }));
}

Tensor average(const char* op, const Tensor& x, const Pool2dGeometry& g) {
  const Tensor image = dense(x);
  Tensor y = empty({g.batch, g.rows.out, g.cols.out, g.channels}, {x.dtype(), x.device()});
  dispatch_floating(op, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      kernels::avg_pool2d<T>(device, g, image.data<T>(), y.data<T>());
    });
  });
  return attach(
      differentiable(op), std::move(y),
      wrt(x, [op, g, shape = x.shape()](const Tensor& dy) { return spread(op, dy, shape, g); }));
}

/// Calls fn with the memory of max pooling's places, which are bytes or i32.
template <typename Fn>
void with_places(const Tensor& where, const Fn& fn) {
  if (where.dtype() == DType::kU8) return fn(where.data<uint8_t>());
  fn(where.data<int32_t>());
}

/// begin, begin + step, .. on the device of `like`: nothing comes from the host, so that a step
/// that is captured may hold it.
Tensor steps(int64_t count, int64_t begin, int64_t step, const Tensor& like) {
  return arange(count, {DType::kI64, like.device()}) * static_cast<double>(step) +
         static_cast<double>(begin);
}

/// The pixels that the places in each window are, i64 [batch, windows, channels].
Tensor pixels_of(const Tensor& where, const Pool2dGeometry& g) {
  const auto grid = [](const Tensor& rows, const Tensor& columns) {
    return reshape(reshape(rows, {rows.numel(), 1}) + columns, {rows.numel() * columns.numel()});
  };
  const auto origins = [&](const Windows& w, int64_t pitch) {
    return steps(w.out, w.origin(0) * pitch, w.stride * pitch, where);
  };
  const int64_t width = g.cols.size;
  const Tensor in_window =
      grid(steps(g.rows.kernel, 0, width, where), steps(g.cols.kernel, 0, 1, where));
  const Tensor origin = grid(origins(g.rows, width), origins(g.cols, 1));
  const Tensor places = reshape(cast(where, DType::kI64), {where.numel()});
  return reshape(index_select(in_window, 0, places), {g.batch, origin.numel(), g.channels}) +
         reshape(origin, {origin.numel(), 1});
}

/// The gradient of max_pool2d: dy, each element where the largest of its window lies, and zeros.
/// Linear in dy; its own gradient fetches the elements back.
Tensor scattered(const Tensor& dy, const Tensor& where, const Shape& shape,
                 const Pool2dGeometry& g) {
  const Tensor upstream = dense(dy);
  Tensor dx = empty(shape, {dy.dtype(), dy.device()});
  dispatch_floating("max_pool2d", dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(dy.device(), [&](auto device) {
      with_places(where, [&](const auto* places) {
        kernels::max_pool2d_backward<T>(device, g, upstream.data<T>(), places, dx.data<T>());
      });
    });
  });
  return attach(
      differentiable("max_pool2d"), std::move(dx),
      wrt(dy, [g, where = save(where)](const Tensor& d) {
        const Tensor pixels = reshape(d, {g.batch, g.rows.size * g.cols.size, g.channels});
        return reshape(gather(pixels, 1, pixels_of(where(), g)), where().shape());
      }));
}

}  // namespace

Tensor max_pool2d(const Tensor& x, Pool2dOptions options) {
  const Pool2dGeometry g = geometry_of("max_pool2d", x, options);
  const Tensor image = dense(x);
  Tensor y = empty({g.batch, g.rows.out, g.cols.out, g.channels}, {x.dtype(), x.device()});
  const bool has_bytes = g.rows.kernel * g.cols.kernel <= kernels::kMostBytePlaces;
  const Tensor where = empty(y.shape(), {has_bytes ? DType::kU8 : DType::kI32, x.device()});
  dispatch_floating("max_pool2d", x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(x.device(), [&](auto device) {
      with_places(where, [&](auto* places) {
        kernels::max_pool2d<T>(device, g, image.data<T>(), y.data<T>(), places);
      });
    });
  });
  return attach(differentiable("max_pool2d"), std::move(y),
                wrt(x, [g, where = save(where), shape = x.shape()](const Tensor& dy) {
                  return scattered(dy, where(), shape, g);
                }));
}

Tensor avg_pool2d(const Tensor& x, Pool2dOptions options) {
  return average("avg_pool2d", x, geometry_of("avg_pool2d", x, options));
}

Tensor adaptive_avg_pool2d(const Tensor& x, int64_t height, int64_t width) {
  const char* op = "adaptive_avg_pool2d";
  check_images(op, x);
  require(height >= 1 && width >= 1 && x.size(1) >= 1 && x.size(2) >= 1, op,
          "needs a positive size and images that are not empty, got ", height, " x ", width,
          " for x ", x.shape());
  const auto windows = [](int64_t size, int64_t out) {
    return Windows{.size = size, .out = out, .adaptive = true};
  };
  return average(op, x,
                 {x.size(0), x.size(3), windows(x.size(1), height), windows(x.size(2), width)});
}

}  // namespace trireme
