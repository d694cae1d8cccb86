#include "tests/kernels/cudnn_interpreter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/kernels/cudnn_interpreted_layers.h"

namespace trireme::testing {
namespace {

using Described = CudnnDescribed;
using Index = HostIndex;
using Tensor = HostTensor;

double pointwise(cudnnPointwiseMode_t mode, double x, double b, double t) {
  switch (mode) {
    case CUDNN_POINTWISE_ADD:
      return x + b;
    case CUDNN_POINTWISE_SUB:
      return x - b;
    case CUDNN_POINTWISE_MUL:
      return x * b;
    case CUDNN_POINTWISE_DIV:
      return x / b;
    case CUDNN_POINTWISE_EXP:
      return std::exp(x);
    case CUDNN_POINTWISE_LOG:
      return std::log(x);
    case CUDNN_POINTWISE_IDENTITY:
      return x;
    case CUDNN_POINTWISE_RELU_FWD:
      return x > 0 || x != x ? x : 0;
    case CUDNN_POINTWISE_CMP_GE:
      return x >= b;
    case CUDNN_POINTWISE_BINARY_SELECT:
      return t != 0 ? x : b;
    default:
      ADD_FAILURE() << "pointwise mode " << mode;
      return 0;
  }
}

/// Where an element among `many` is in a tensor with fewer, each of which stands for neighbours.
Index group_of(Index index, const Index& many, const Index& few) {
  for (size_t d = 0; d < index.size(); ++d) index[d] = index[d] * few[d] / many[d];
  return index;
}

class Interpreter {
 public:
  explicit Interpreter(const std::map<int64_t, void*>& memory) : memory_(memory) {}

  void run(const Described& op) {
    switch (op.type) {
      case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return run_pointwise(op);
      case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        return run_reduction(op);
      case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        return run_matmul(op);
      case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
        return run_reshape(op);
      default:
        if (interpret_layer(op, [&](int name) { return tensor(op, name); })) return;
        return run_convolution(op);
    }
  }

 private:
  Tensor tensor(const Described& op, int name) {
    const Described& t = *op.descriptor(name);
    const auto uid = t.value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
    Tensor found{t.numbers(CUDNN_ATTR_TENSOR_DIMENSIONS), t.numbers(CUDNN_ATTR_TENSOR_STRIDES),
                 t.value<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE), nullptr};
    if (!t.value<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL)) {
      found.data = memory_.at(uid);
      return found;
    }
    std::vector<double>& image = temporaries_[uid];
    int64_t span = 1;
    for (size_t d = 0; d < found.extents.size(); ++d) {
      span += (found.extents[d] - 1) * found.strides[d];
    }
    image.resize(static_cast<size_t>(span));
    found.data = image.data();  // doubles are wide enough for any type
    return found;
  }

  void run_pointwise(const Described& op) {
    const Described& what = *op.descriptor(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    const auto mode = what.value<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    const Tensor x = tensor(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
    if (mode == CUDNN_POINTWISE_RELU_BWD) {
      const Tensor dy = tensor(op, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC);
      const Tensor dx = tensor(op, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC);
      return each_index(dx.extents,
                        [&](const Index& i) { dx.set(i, x.get(i) <= 0 ? 0 : dy.get(i)); });
    }
    const Tensor y = tensor(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    const auto optional = [&](int name) { return op.has(name) ? tensor(op, name) : x; };
    const Tensor b = optional(CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
    const Tensor t = optional(CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
    each_index(y.extents, [&](const Index& i) {
      const bool is_index = mode == CUDNN_POINTWISE_GEN_INDEX;
      y.set(i, is_index
                   ? static_cast<double>(
                         i[static_cast<size_t>(what.value<int64_t>(CUDNN_ATTR_POINTWISE_AXIS))])
                   : pointwise(mode, x.get(i), b.get(i), t.get(i)));
    });
  }

  void run_reduction(const Described& op) {
    const auto mode = op.descriptor(CUDNN_ATTR_OPERATION_REDUCTION_DESC)
                          ->value<cudnnReduceTensorOp_t>(CUDNN_ATTR_REDUCTION_OPERATOR);
    const Tensor x = tensor(op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC);
    const Tensor y = tensor(op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
    const bool is_max = mode == CUDNN_REDUCE_TENSOR_MAX;
    Wide all(y.extents);  // as cuDNN's f32, which is rounded once
    each_index(y.extents, [&](const Index& i) {
      all[i] = is_max ? -std::numeric_limits<double>::infinity() : 0;
    });
    each_index(x.extents, [&](const Index& i) {
      double& of = all[group_of(i, x.extents, y.extents)];
      of = is_max ? std::max(of, x.get(i)) : of + x.get(i);
    });
    each_index(y.extents, [&](const Index& i) { y.set(i, all[i]); });
  }

  void run_matmul(const Described& op) {
    const Tensor a = tensor(op, CUDNN_ATTR_OPERATION_MATMUL_ADESC);
    const Tensor b = tensor(op, CUDNN_ATTR_OPERATION_MATMUL_BDESC);
    const Tensor c = tensor(op, CUDNN_ATTR_OPERATION_MATMUL_CDESC);
    const size_t row = c.extents.size() - 2, col = row + 1;
    Index shared = c.extents;  // b's, if no two matrices of c shared one
    shared[row] = b.extents[row];
    each_index(c.extents, [&](const Index& i) {
      Index left = i, right = i;
      double sum = 0;
      for (int64_t k = 0; k < a.extents[col]; ++k) {
        left[col] = right[row] = k;
        sum += a.get(left) * b.get(group_of(right, shared, b.extents));
      }
      c.set(i, sum);
    });
  }

  /// The same memory seen with other extents and strides.
  void run_reshape(const Described& op) {
    const Tensor x = tensor(op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC);
    const Tensor y = tensor(op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
    each_index(y.extents, [&](const Index& i) { y.set(i, load(x.data, y.at(i), x.type)); });
  }

  void run_convolution(const Described& op) {
    const bool forward = op.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    const bool to_input = op.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
    const auto pick = [&](int f, int d, int w) { return forward ? f : to_input ? d : w; };
    const Tensor x = tensor(op, pick(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X));
    const Tensor w = tensor(op, pick(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW));
    const Tensor y = tensor(op, pick(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY));
    const Described& conv =
        *op.descriptor(pick(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC));
    const Index pad = conv.numbers(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
    const Index stride = conv.numbers(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
    const Index dilation = conv.numbers(CUDNN_ATTR_CONVOLUTION_DILATIONS);
    const Tensor& result = forward ? y : to_input ? x : w;
    const int64_t in_group = w.extents[1];
    const int64_t out_group = w.extents[0] / (x.extents[1] / in_group);
    Wide sum(result.extents);  // as cuDNN's f32 sums, which are rounded once
    each_index(y.extents, [&](const Index& o) {
      each_index({in_group, w.extents[2], w.extents[3]}, [&](const Index& f) {
        const int64_t row = o[2] * stride[0] - pad[0] + f[1] * dilation[0];
        const int64_t col = o[3] * stride[1] - pad[1] + f[2] * dilation[1];
        if (row < 0 || row >= x.extents[2] || col < 0 || col >= x.extents[3]) return;
        const Index from{o[0], o[1] / out_group * in_group + f[0], row, col};
        const Index filter{o[1], f[0], f[1], f[2]};
        const double a = forward ? x.get(from) : to_input ? y.get(o) : x.get(from);
        const double b = forward ? w.get(filter) : to_input ? w.get(filter) : y.get(o);
        const Index& to = forward ? o : to_input ? from : filter;
        sum[to] += a * b;
      });
    });
    each_index(result.extents, [&](const Index& i) { result.set(i, sum[i]); });
  }

  const std::map<int64_t, void*>& memory_;
  std::map<int64_t, std::vector<double>> temporaries_;
};

}  // namespace

void interpret(const CudnnDescribed& graph, const std::map<int64_t, void*>& memory) {
  Interpreter interpreter(memory);
  const auto count = graph.attributes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).count;
  for (int64_t i = 0; i < count; ++i) {
    interpreter.run(*graph.descriptor(CUDNN_ATTR_OPERATIONGRAPH_OPS, static_cast<size_t>(i)));
  }
}

}  // namespace trireme::testing
