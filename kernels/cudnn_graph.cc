#include "kernels/cudnn_graph.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "core/base/error.h"

namespace trireme::kernels {

CudnnGraph::CudnnGraph(const CudnnApi& api, cudnnHandle_t handle, const char* op)
    : api_(api),
      handle_(handle),
      op_(op),
      parts_(std::make_shared<std::vector<CudnnDescriptor>>()) {}

CudnnDescriptor CudnnGraph::make(const std::string& name, cudnnBackendDescriptorType_t type) const {
  return CudnnDescriptor(api_, op_, name, type);
}

CudnnTensor CudnnGraph::add_tensor(const std::string& name, cudnnDataType_t type,
                                   const CudnnDims& extents, const CudnnDims& strides,
                                   int64_t alignment, bool is_virtual, bool is_by_value) {
  TRIREME_ASSERT(extents.size() == strides.size());
  const auto uid = static_cast<int64_t>(tensors_.size());
  CudnnDescriptor tensor = make("tensor " + name, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
  tensor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, extents);
  tensor.set(CUDNN_ATTR_TENSOR_STRIDES, strides);
  tensor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment);
  tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual);
  tensor.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, is_by_value);
  tensor.finalize();
  tensors_.push_back(std::move(tensor));
  return {uid};
}

CudnnTensor CudnnGraph::tensor(const std::string& name, cudnnDataType_t type,
                               const CudnnDims& extents, const CudnnDims& strides,
                               int64_t alignment) {
  return add_tensor(name, type, extents, strides, alignment, false, false);
}
CudnnTensor CudnnGraph::temporary(const std::string& name, cudnnDataType_t type,
                                  const CudnnDims& extents, const CudnnDims& strides) {
  return add_tensor(name, type, extents, strides, 16, true, false);
}
CudnnTensor CudnnGraph::scalar(const std::string& name, int rank) {
  const CudnnDims ones(static_cast<size_t>(rank), 1);
  return add_tensor(name, CUDNN_DATA_FLOAT, ones, ones, 4, false, true);
}

const CudnnDescriptor& CudnnGraph::at(CudnnTensor tensor) const {
  return tensors_.at(static_cast<size_t>(tensor.uid));
}

void CudnnGraph::add_operation(CudnnDescriptor operation) {
  operation.finalize();
  operations_.push_back(std::move(operation));
}

void CudnnGraph::set_ports(CudnnDescriptor& operation, std::initializer_list<Port> ports) const {
  for (const Port& port : ports) {
    if (port.tensor.uid >= 0) operation.set(port.name, at(port.tensor));
  }
}

void CudnnGraph::add_operation(const std::string& name, cudnnBackendDescriptorType_t type,
                               cudnnBackendAttributeName_t role, CudnnDescriptor what,
                               std::initializer_list<Port> ports) {
  what.finalize();
  CudnnDescriptor operation = make(name, type);
  operation.set(role, what);
  set_ports(operation, ports);
  parts_->push_back(std::move(what));
  add_operation(std::move(operation));
}

void CudnnGraph::pointwise(const std::string& name, cudnnPointwiseMode_t mode, CudnnTensor y,
                           CudnnTensor x, CudnnTensor b, CudnnTensor t, cudnnDataType_t math) {
  CudnnDescriptor what = make(name, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  what.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  what.set(CUDNN_ATTR_POINTWISE_MATH_PREC, math);
  add_operation(name, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
                CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, std::move(what),
                {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x},
                 {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b},
                 {CUDNN_ATTR_OPERATION_POINTWISE_TDESC, t},
                 {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y}});
}

void CudnnGraph::pointwise_gradient(const std::string& name, cudnnPointwiseMode_t mode,
                                    CudnnTensor dx, CudnnTensor dy, CudnnTensor x) {
  CudnnDescriptor what = make(name, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  what.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  what.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  add_operation(name, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
                CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, std::move(what),
                {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x},
                 {CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, dy},
                 {CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, dx}});
}

void CudnnGraph::index(const std::string& name, int64_t axis, CudnnTensor y, CudnnTensor like) {
  const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_GEN_INDEX;
  CudnnDescriptor what = make(name, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  what.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  what.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  what.set(CUDNN_ATTR_POINTWISE_AXIS, axis);
  add_operation(
      name, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
      CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, std::move(what),
      {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, like}, {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y}});
}

void CudnnGraph::reduction(const std::string& name, cudnnReduceTensorOp_t mode, CudnnTensor y,
                           CudnnTensor x) {
  CudnnDescriptor what = make(name, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  what.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &mode);
  what.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  add_operation(
      name, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, CUDNN_ATTR_OPERATION_REDUCTION_DESC,
      std::move(what),
      {{CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x}, {CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y}});
}

void CudnnGraph::matmul(const std::string& name, CudnnTensor c, CudnnTensor a, CudnnTensor b) {
  CudnnDescriptor what = make(name, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  what.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT);
  add_operation(name, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_DESC,
                std::move(what),
                {{CUDNN_ATTR_OPERATION_MATMUL_ADESC, a},
                 {CUDNN_ATTR_OPERATION_MATMUL_BDESC, b},
                 {CUDNN_ATTR_OPERATION_MATMUL_CDESC, c}});
}

void CudnnGraph::reshape(const std::string& name, CudnnTensor y, CudnnTensor x) {
  CudnnDescriptor operation = make(name, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, at(x));
  operation.set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, at(y));
  add_operation(std::move(operation));
}

namespace {

/// The names of a convolution's attributes, which differ by direction.
struct ConvolutionNames {
  const char* name;
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t alpha, beta, conv, x, w, y;
};
ConvolutionNames names_of(CudnnConvolution kind) {
  switch (kind) {
    case CudnnConvolution::kInputGradient:
      return {"input gradient",
              CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
    case CudnnConvolution::kWeightGradient:
      return {"weight gradient",
              CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
    default:
      return {"convolution",
              CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
  }
}

}  // namespace

void CudnnGraph::convolution(CudnnConvolution kind, const CudnnConvolutionShape& shape,
                             CudnnTensor x, CudnnTensor w, CudnnTensor y, cudnnDataType_t math) {
  const ConvolutionNames names = names_of(kind);
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;  // filters are not mirrored
  CudnnDescriptor what = make(names.name, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  what.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, math);
  what.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  what.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, static_cast<int64_t>(shape.stride.size()));
  what.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, shape.padding);
  what.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, shape.padding);
  what.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, shape.stride);
  what.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, shape.dilation);
  what.finalize();
  CudnnDescriptor operation = make(names.name, names.type);
  operation.set(names.conv, what);
  operation.set(names.x, at(x));
  operation.set(names.w, at(w));
  operation.set(names.y, at(y));
  const double one = 1, zero = 0;
  const float one_f = 1, zero_f = 0;
  const bool is_f64 = math == CUDNN_DATA_DOUBLE;
  const auto type = is_f64 ? CUDNN_TYPE_DOUBLE : CUDNN_TYPE_FLOAT;
  operation.set(names.alpha, type, 1, is_f64 ? static_cast<const void*>(&one) : &one_f);
  operation.set(names.beta, type, 1, is_f64 ? static_cast<const void*>(&zero) : &zero_f);
  parts_->push_back(std::move(what));
  add_operation(std::move(operation));
}

bool CudnnGraph::accepts(const CudnnDescriptor& config, const CudnnFilter& filter) const {
  if (!filter.deterministic && !filter.exact_f32) return true;
  CudnnDescriptor engine = make("engine", CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t raw = engine.get();
  config.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  const int64_t count = engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                   static_cast<int64_t>(notes.size()), notes.data());
  return std::none_of(notes.begin(), notes.begin() + count, [&](cudnnBackendNumericalNote_t note) {
    if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) return filter.deterministic;
    return filter.exact_f32 && (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
                                note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
                                note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION);
  });
}

void CudnnGraph::add_plans(const CudnnDescriptor& graph, cudnnBackendHeurMode_t mode,
                           const CudnnFilter& filter, std::vector<CudnnPlan>& found) {
  CudnnDescriptor heuristic = make("heuristic", CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  if (heuristic.try_finalize() != CUDNN_STATUS_SUCCESS) return;  // it knows nothing of this graph
  const int64_t count =
      heuristic.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr);
  std::vector<CudnnDescriptor> configs;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (int64_t i = 0; i < count; ++i) {
    configs.push_back(make("engine configuration", CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
    raw.push_back(configs.back().get());
  }
  const int64_t given = count == 0
                            ? 0
                            : heuristic.get(CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                            CUDNN_TYPE_BACKEND_DESCRIPTOR, count, raw.data());
  for (int64_t i = 0; i < given && std::ssize(found) < filter.most; ++i) {
    CudnnDescriptor& config = configs[static_cast<size_t>(i)];
    if (!accepts(config, filter)) continue;
    CudnnPlan plan;
    plan.plan_ = make("plan", CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.plan_.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle_);
    plan.plan_.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    if (plan.plan_.try_finalize() != CUDNN_STATUS_SUCCESS) continue;  // the next may do
    plan.api_ = &api_;
    plan.op_ = op_;
    plan.workspace_bytes_ = plan.plan_.get_int64(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
    plan.parts_ = parts_;
    parts_->push_back(std::move(config));
    found.push_back(std::move(plan));
  }
}

std::vector<CudnnPlan> CudnnGraph::plans(const CudnnFilter& filter) {
  std::vector<cudnnBackendDescriptor_t> operations;
  for (const CudnnDescriptor& operation : operations_) operations.push_back(operation.get());
  CudnnDescriptor graph = make("graph", CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle_);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            static_cast<int64_t>(operations.size()), operations.data());
  const cudnnStatus_t status = graph.try_finalize();
  if (is_unsupported(status)) return {};
  check_cudnn(api_, op_, "cuDNN descriptor graph, finalising it", status);
  std::vector<CudnnPlan> found;
  add_plans(graph, CUDNN_HEUR_MODE_A, filter, found);
  if (found.empty()) add_plans(graph, CUDNN_HEUR_MODE_FALLBACK, filter, found);
  for (auto* list : {&tensors_, &operations_}) {
    std::move(list->begin(), list->end(), std::back_inserter(*parts_));
    list->clear();
  }
  parts_->push_back(std::move(graph));
  return found;
}

void CudnnPlan::run(cudnnHandle_t handle, std::span<const CudnnBinding> bindings,
                    void* workspace) const {
  std::vector<int64_t> uids;
  std::vector<const void*> pointers;
  for (const CudnnBinding& binding : bindings) {
    uids.push_back(binding.tensor.uid);
    pointers.push_back(binding.data);
  }
  CudnnDescriptor pack(*api_, op_, "variant pack", CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, uids);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::ssize(pointers),
           pointers.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  pack.finalize();
  check_cudnn(*api_, op_, "cudnnBackendExecute",
              api_->BackendExecute(handle, plan_.get(), pack.get()));
}

}  // namespace trireme::kernels
