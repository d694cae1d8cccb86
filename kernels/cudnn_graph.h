// A computation as a graph of cuDNN operations, and the kernel that cuDNN has for it.
//
//   CudnnGraph graph(api, handle, "conv2d");
//   const CudnnTensor x = graph.tensor("x", CUDNN_DATA_BFLOAT16, {n, c, h, w}, strides), y = ...;
//   graph.convolution(CudnnConvolution::kForward, geometry, x, weight, y);
//   std::vector<CudnnPlan> plans = graph.plans(...);   // best first; empty: cuDNN has none
//   plans[0].run(handle, {{x, pointer}, ...}, workspace);
//
// Tensors are named for errors. A temporary lives inside the kernel; a scalar is read when the plan
// runs. A graph, and the plans it gives, belong to one thread and one handle.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cudnn_descriptor.h"

namespace trireme::kernels {

/// Extents or strides.
using CudnnDims = std::vector<int64_t>;

/// A tensor of a graph: its unique number, which is also its place in the graph's list.
struct CudnnTensor {
  int64_t uid = -1;
};

/// Where a tensor lies when a plan runs: device memory, or host memory of a scalar.
struct CudnnBinding {
  CudnnTensor tensor;
  const void* data;
};

enum class CudnnConvolution { kForward, kInputGradient, kWeightGradient };
struct CudnnConvolutionShape {
  CudnnDims padding, stride, dilation;  // one per spatial dimension
};

/// Batch normalisation of x: statistics and factors are [1, channels, 1, 1]. With epsilon it is a
/// training step, which writes mean and inv_variance; without, they are read.
struct CudnnBatchNormPorts {
  CudnnTensor x, scale, bias, mean, inv_variance, epsilon, y;
};
/// Its gradients, where mean and inv_variance are those of x.
struct CudnnBatchNormGradientPorts {
  CudnnTensor x, dy, scale, mean, inv_variance, dx, dscale, dbias;
};

enum class CudnnPool { kMax, kAverage };  // of what a window holds of the image
struct CudnnPoolShape {
  CudnnDims window, padding, stride;  // one per spatial dimension
};

/// Which kernels are refused.
struct CudnnFilter {
  bool deterministic = false;  // those whose sums have no fixed order
  bool exact_f32 = false;      // those that round f32 operands (TF32, f16)
  int most = 1;                // plans wanted
};

class CudnnPlan {
 public:
  const char* op() const { return op_; }
  int64_t workspace_bytes() const { return workspace_bytes_; }
  /// Queues the kernel on the handle's stream. `bindings` names every tensor that is not temporary.
  void run(cudnnHandle_t handle, std::span<const CudnnBinding> bindings, void* workspace) const;

 private:
  friend class CudnnGraph;
  const CudnnApi* api_ = nullptr;
  const char* op_ = "";
  CudnnDescriptor plan_;
  int64_t workspace_bytes_ = 0;
  // What the plan was made from; cuDNN does not say whether it still reads it.
  std::shared_ptr<std::vector<CudnnDescriptor>> parts_;
};

class CudnnGraph {
 public:
  CudnnGraph(const CudnnApi& api, cudnnHandle_t handle, const char* op);

  /// Memory of the caller's, 16-byte aligned unless told.
  CudnnTensor tensor(const std::string& name, cudnnDataType_t type, const CudnnDims& extents,
                     const CudnnDims& strides, int64_t alignment = 16);
  CudnnTensor temporary(const std::string& name, cudnnDataType_t type, const CudnnDims& extents,
                        const CudnnDims& strides);
  /// One f32 that stands for any extents, read from host memory.
  CudnnTensor scalar(const std::string& name, int rank);

  // Operations in the order in which they are computed. `name` is for errors.
  /// y = mode(x), mode(x, b), or, for kSelect, b where t is false.
  void pointwise(const std::string& name, cudnnPointwiseMode_t mode, CudnnTensor y, CudnnTensor x,
                 CudnnTensor b = {}, CudnnTensor t = {}, cudnnDataType_t math = CUDNN_DATA_FLOAT);
  /// dx = the gradient of mode at x.
  void pointwise_gradient(const std::string& name, cudnnPointwiseMode_t mode, CudnnTensor dx,
                          CudnnTensor dy, CudnnTensor x);
  /// y = the index of each element along `axis`.
  void index(const std::string& name, int64_t axis, CudnnTensor y, CudnnTensor like);
  /// y = x reduced: where y has a divisor of x's extent, it has an element for as many neighbours.
  void reduction(const std::string& name, cudnnReduceTensorOp_t mode, CudnnTensor y, CudnnTensor x);
  /// c[.., m, n] = a[.., m, k] b[.., k, n], summed in f32. b may have fewer matrices in a leading
  /// dimension, a divisor of a's: neighbours in a share one.
  void matmul(const std::string& name, CudnnTensor c, CudnnTensor a, CudnnTensor b);
  /// y is x with other extents and strides.
  void reshape(const std::string& name, CudnnTensor y, CudnnTensor x);
  /// Forward y = conv(x, w); the gradients write x or w. Sums in `math`.
  void convolution(CudnnConvolution kind, const CudnnConvolutionShape& shape, CudnnTensor x,
                   CudnnTensor w, CudnnTensor y, cudnnDataType_t math);
  void batch_norm(const CudnnBatchNormPorts& ports);
  void batch_norm_gradient(const CudnnBatchNormGradientPorts& ports);
  /// With `where` of y's extents: the place of the largest element in its window, row by row, the
  /// first of equal ones. Required by the gradient of kMax.
  void pool(CudnnPool kind, const CudnnPoolShape& shape, CudnnTensor x, CudnnTensor y,
            CudnnTensor where = {});
  void pool_gradient(CudnnPool kind, const CudnnPoolShape& shape, CudnnTensor dy, CudnnTensor dx,
                     CudnnTensor where = {});

  /// Up to filter.most plans, cuDNN's favourite first; none where it has no kernel for the graph.
  /// Ends the graph. Kernels may be compiled in here, which takes seconds.
  std::vector<CudnnPlan> plans(const CudnnFilter& filter);

 private:
  CudnnDescriptor make(const std::string& name, cudnnBackendDescriptorType_t type) const;
  CudnnTensor add_tensor(const std::string& name, cudnnDataType_t type, const CudnnDims& extents,
                         const CudnnDims& strides, int64_t alignment, bool is_virtual,
                         bool is_by_value);
  const CudnnDescriptor& at(CudnnTensor tensor) const;
  void add_operation(CudnnDescriptor operation);
  /// A tensor under the name of the attribute it is given as; a default tensor is left out.
  struct Port {
    cudnnBackendAttributeName_t name;
    CudnnTensor tensor;
  };
  void set_ports(CudnnDescriptor& operation, std::initializer_list<Port> ports) const;
  /// One that does `what`, its attribute `role`.
  void add_operation(const std::string& name, cudnnBackendDescriptorType_t type,
                     cudnnBackendAttributeName_t role, CudnnDescriptor what,
                     std::initializer_list<Port> ports);
  bool accepts(const CudnnDescriptor& config, const CudnnFilter& filter) const;
  void add_plans(const CudnnDescriptor& graph, cudnnBackendHeurMode_t mode,
                 const CudnnFilter& filter, std::vector<CudnnPlan>& found);

  const CudnnApi& api_;
  cudnnHandle_t handle_;
  const char* op_;
  std::vector<CudnnDescriptor> tensors_, operations_;
  // Descriptors that others refer to, kept until the plans are gone.
  std::shared_ptr<std::vector<CudnnDescriptor>> parts_;
};

}  // namespace trireme::kernels
