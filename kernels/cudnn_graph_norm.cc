#include <utility>

#include "kernels/cudnn_graph.h"

namespace trireme::kernels {

void CudnnGraph::batch_norm(const CudnnBatchNormPorts& ports) {
  const cudnnBackendNormMode_t mode = CUDNN_BATCH_NORM;
  const cudnnBackendNormFwdPhase_t phase =
      ports.epsilon.uid >= 0 ? CUDNN_NORM_FWD_TRAINING : CUDNN_NORM_FWD_INFERENCE;
  CudnnDescriptor operation = make("batch norm", CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_TYPE_NORM_MODE, 1, &mode);
  operation.set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_TYPE_NORM_FWD_PHASE, 1, &phase);
  set_ports(operation, {{CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, ports.x},
                        {CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, ports.mean},
                        {CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, ports.inv_variance},
                        {CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, ports.scale},
                        {CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, ports.bias},
                        {CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, ports.epsilon},
                        {CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, ports.y}});
  add_operation(std::move(operation));
}

void CudnnGraph::batch_norm_gradient(const CudnnBatchNormGradientPorts& ports) {
  const cudnnBackendNormMode_t mode = CUDNN_BATCH_NORM;
  CudnnDescriptor operation =
      make("batch norm gradient", CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_NORM_BWD_MODE, CUDNN_TYPE_NORM_MODE, 1, &mode);
  set_ports(operation, {{CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, ports.x},
                        {CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC, ports.mean},
                        {CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, ports.inv_variance},
                        {CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, ports.dy},
                        {CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, ports.scale},
                        {CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, ports.dscale},
                        {CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC, ports.dbias},
                        {CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, ports.dx}});
  add_operation(std::move(operation));
}

}  // namespace trireme::kernels
