#include <algorithm>
#include <utility>

#include "kernels/cudnn_graph.h"

namespace trireme::kernels {
namespace {

/// Sets whole numbers where cuDNN's resampling takes fractions.
void set_fractions(CudnnDescriptor& to, cudnnBackendAttributeName_t name, const CudnnDims& values) {
  std::vector<cudnnFraction_t> fractions;
  for (int64_t value : values) fractions.push_back({value, 1});
  to.set(name, CUDNN_TYPE_FRACTION, std::ssize(fractions), fractions.data());
}

/// `what`, made a pooling.
CudnnDescriptor pooling(CudnnDescriptor what, CudnnPool kind, const CudnnPoolShape& shape) {
  const bool is_max = kind == CudnnPool::kMax;
  const cudnnResampleMode_t mode =
      is_max ? CUDNN_RESAMPLE_MAXPOOL : CUDNN_RESAMPLE_AVGPOOL_EXCLUDE_PADDING;
  const cudnnPaddingMode_t outside = is_max ? CUDNN_NEG_INF_PAD : CUDNN_ZERO_PAD;
  const cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN;
  what.set(CUDNN_ATTR_RESAMPLE_MODE, CUDNN_TYPE_RESAMPLE_MODE, 1, &mode);
  what.set(CUDNN_ATTR_RESAMPLE_PADDING_MODE, CUDNN_TYPE_PADDING_MODE, 1, &outside);
  what.set(CUDNN_ATTR_RESAMPLE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, &nan);
  what.set(CUDNN_ATTR_RESAMPLE_COMP_TYPE, CUDNN_DATA_FLOAT);
  what.set(CUDNN_ATTR_RESAMPLE_SPATIAL_DIMS, std::ssize(shape.window));
  set_fractions(what, CUDNN_ATTR_RESAMPLE_WINDOW_DIMS, shape.window);
  set_fractions(what, CUDNN_ATTR_RESAMPLE_PRE_PADDINGS, shape.padding);
  set_fractions(what, CUDNN_ATTR_RESAMPLE_POST_PADDINGS, shape.padding);
  set_fractions(what, CUDNN_ATTR_RESAMPLE_STRIDES, shape.stride);
  return what;
}

}  // namespace

void CudnnGraph::pool(CudnnPool kind, const CudnnPoolShape& shape, CudnnTensor x, CudnnTensor y,
                      CudnnTensor where) {
  add_operation("pooling", CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR,
                CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC,
                pooling(make("pooling", CUDNN_BACKEND_RESAMPLE_DESCRIPTOR), kind, shape),
                {{CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC, x},
                 {CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC, y},
                 {CUDNN_ATTR_OPERATION_RESAMPLE_FWD_IDXDESC, where}});
}

void CudnnGraph::pool_gradient(CudnnPool kind, const CudnnPoolShape& shape, CudnnTensor dy,
                               CudnnTensor dx, CudnnTensor where) {
  add_operation("pooling gradient", CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR,
                CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DESC,
                pooling(make("pooling gradient", CUDNN_BACKEND_RESAMPLE_DESCRIPTOR), kind, shape),
                {{CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DYDESC, dy},
                 {CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DXDESC, dx},
                 {CUDNN_ATTR_OPERATION_RESAMPLE_BWD_IDXDESC, where}});
}

}  // namespace trireme::kernels
