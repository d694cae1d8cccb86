#include "tests/kernels/cudnn_interpreted_layers.h"

#include <cmath>

namespace trireme::testing {
namespace {

using Described = CudnnDescribed;
using Tensors = std::function<HostTensor(int)>;

HostIndex channel_of(const HostIndex& i) { return {0, i[1], 0, 0}; }

/// Values per channel.
double count_of(const HostTensor& x) {
  return static_cast<double>(x.extents[0] * x.extents[2] * x.extents[3]);
}

void batch_norm(const Described& op, const Tensors& tensor) {
  const HostTensor x = tensor(CUDNN_ATTR_OPERATION_NORM_FWD_XDESC);
  const HostTensor y = tensor(CUDNN_ATTR_OPERATION_NORM_FWD_YDESC);
  const HostTensor mean = tensor(CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC);
  const HostTensor rstd = tensor(CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC);
  const HostTensor scale = tensor(CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC);
  const HostTensor bias = tensor(CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC);
  if (op.value<cudnnBackendNormFwdPhase_t>(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE) ==
      CUDNN_NORM_FWD_TRAINING) {
    const double epsilon = tensor(CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC).get({0, 0, 0, 0});
    Wide sum(mean.extents), squares(mean.extents);
    each_index(x.extents, [&](const HostIndex& i) { sum[channel_of(i)] += x.get(i); });
    each_index(mean.extents, [&](const HostIndex& c) { sum[c] /= count_of(x); });
    each_index(x.extents, [&](const HostIndex& i) {
      squares[channel_of(i)] += std::pow(x.get(i) - sum[channel_of(i)], 2);
    });
    each_index(mean.extents, [&](const HostIndex& c) {
      mean.set(c, sum[c]);
      rstd.set(c, 1 / std::sqrt(squares[c] / count_of(x) + epsilon));
    });
  }
  each_index(x.extents, [&](const HostIndex& i) {
    const HostIndex c = channel_of(i);
    y.set(i, (x.get(i) - mean.get(c)) * rstd.get(c) * scale.get(c) + bias.get(c));
  });
}

void batch_norm_gradient(const Tensors& tensor) {
  const HostTensor x = tensor(CUDNN_ATTR_OPERATION_NORM_BWD_XDESC);
  const HostTensor dy = tensor(CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC);
  const HostTensor dx = tensor(CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC);
  const HostTensor mean = tensor(CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC);
  const HostTensor rstd = tensor(CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC);
  const HostTensor scale = tensor(CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC);
  const HostTensor dscale = tensor(CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC);
  const HostTensor dbias = tensor(CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC);
  const auto xhat = [&](const HostIndex& i) {
    return (x.get(i) - mean.get(channel_of(i))) * rstd.get(channel_of(i));
  };
  Wide of_xhat(mean.extents), of_dy(mean.extents);
  each_index(x.extents, [&](const HostIndex& i) {
    of_xhat[channel_of(i)] += dy.get(i) * xhat(i);
    of_dy[channel_of(i)] += dy.get(i);
  });
  each_index(x.extents, [&](const HostIndex& i) {
    const HostIndex c = channel_of(i);
    const double shift = (of_dy[c] + xhat(i) * of_xhat[c]) / count_of(x);
    dx.set(i, scale.get(c) * rstd.get(c) * (dy.get(i) - shift));
  });
  each_index(mean.extents, [&](const HostIndex& c) {
    dscale.set(c, of_xhat[c]);
    dbias.set(c, of_dy[c]);
  });
}

/// The windows of a pooling over an image of x's extents.
class Windows {
 public:
  Windows(const Described& what, const HostIndex& image)
      : is_max(what.value<cudnnResampleMode_t>(CUDNN_ATTR_RESAMPLE_MODE) == CUDNN_RESAMPLE_MAXPOOL),
        image_(image),
        window_(what.numbers(CUDNN_ATTR_RESAMPLE_WINDOW_DIMS)),
        pad_(what.numbers(CUDNN_ATTR_RESAMPLE_PRE_PADDINGS)),
        stride_(what.numbers(CUDNN_ATTR_RESAMPLE_STRIDES)) {}

  /// Calls fn(pixel of the image, its place in the window) for those that output o sees.
  void each(const HostIndex& o, const std::function<void(const HostIndex&, int64_t)>& fn) const {
    for (int64_t r = 0; r < window_[0]; ++r) {
      for (int64_t c = 0; c < window_[2]; ++c) {  // every second number is a denominator
        const int64_t row = o[2] * stride_[0] - pad_[0] + r;
        const int64_t col = o[3] * stride_[2] - pad_[2] + c;
        if (row < 0 || row >= image_[2] || col < 0 || col >= image_[3]) continue;
        fn({o[0], o[1], row, col}, r * window_[2] + c);
      }
    }
  }
  double count(const HostIndex& o) const {
    double found = 0;
    each(o, [&](const HostIndex&, int64_t) { ++found; });
    return found;
  }

  const bool is_max;

 private:
  const HostIndex image_, window_, pad_, stride_;
};

void pool(const Described& op, const Tensors& tensor) {
  const HostTensor x = tensor(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC);
  const HostTensor y = tensor(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC);
  const Windows windows(*op.descriptor(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC), x.extents);
  const bool has_places = op.has(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_IDXDESC);
  const HostTensor where = has_places ? tensor(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_IDXDESC) : y;
  each_index(y.extents, [&](const HostIndex& o) {
    double sum = 0, most = 0;
    int64_t place = -1;
    windows.each(o, [&](const HostIndex& i, int64_t at) {
      const double v = x.get(i);
      sum += v;
      const bool larger = place < 0 || v > most || (std::isnan(v) && !std::isnan(most));
      most = larger ? v : most;
      place = larger ? at : place;
    });
    y.set(o, windows.is_max ? most : sum / windows.count(o));
    if (has_places) where.set(o, static_cast<double>(place));
  });
}

void pool_gradient(const Described& op, const Tensors& tensor) {
  const HostTensor dx = tensor(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DXDESC);
  const HostTensor dy = tensor(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DYDESC);
  const Windows windows(*op.descriptor(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DESC), dx.extents);
  const HostTensor where = windows.is_max ? tensor(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_IDXDESC) : dy;
  Wide sum(dx.extents);
  each_index(dy.extents, [&](const HostIndex& o) {
    const double share = windows.is_max ? 1 : 1 / windows.count(o);
    windows.each(o, [&](const HostIndex& i, int64_t at) {
      if (!windows.is_max || static_cast<int64_t>(where.get(o)) == at) sum[i] += share * dy.get(o);
    });
  });
  each_index(dx.extents, [&](const HostIndex& i) { dx.set(i, sum[i]); });
}

}  // namespace

bool interpret_layer(const Described& op, const Tensors& tensor) {
  switch (op.type) {
    case CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR:
      batch_norm(op, tensor);
      return true;
    case CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR:
      batch_norm_gradient(tensor);
      return true;
    case CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR:
      pool(op, tensor);
      return true;
    case CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR:
      pool_gradient(op, tensor);
      return true;
    default:
      return false;
  }
}

}  // namespace trireme::testing
