#include "tests/kernels/cudnn_mock_checks.h"

#include <set>

#include "core/base/error.h"

namespace trireme::testing {
namespace {

using Described = CudnnDescribed;

std::vector<int64_t> extents(const Described* t) {
  return t->numbers(CUDNN_ATTR_TENSOR_DIMENSIONS);
}

/// True if `from` broadcasts to `to`.
bool broadcasts(const std::vector<int64_t>& from, const std::vector<int64_t>& to) {
  if (from.size() != to.size()) return false;
  for (size_t d = 0; d < from.size(); ++d) {
    if (from[d] != to[d] && from[d] != 1) return false;
  }
  return true;
}

bool is_matmul(const std::vector<int64_t>& a, const std::vector<int64_t>& b,
               const std::vector<int64_t>& c) {
  const size_t r = a.size();
  return r >= 3 && b.size() == r && c.size() == r && a[r - 2] == c[r - 2] && a[r - 1] == b[r - 2] &&
         b[r - 1] == c[r - 1] && std::equal(a.begin(), a.end() - 2, c.begin()) &&
         std::equal(b.begin(), b.end() - 2, c.begin());
}

bool is_convolution(const Described& op, const Described* x, const Described* w,
                    const Described* y) {
  const int conv_name = op.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR
                            ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC
                        : op.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
                            ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC
                            : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC;
  const Described* conv = op.descriptor(conv_name);
  const auto from = extents(x), filter = extents(w), to = extents(y);
  bool fits = from[0] == to[0] && filter[0] == to[1] && from[1] % filter[1] == 0;
  for (size_t d = 0; d < 2; ++d) {
    const int64_t pads = conv->numbers(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)[d] +
                         conv->numbers(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS)[d];
    const int64_t reach =
        conv->numbers(CUDNN_ATTR_CONVOLUTION_DILATIONS)[d] * (filter[d + 2] - 1) + 1;
    const int64_t stride = conv->numbers(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)[d];
    fits = fits && to[d + 2] == (from[d + 2] + pads - reach) / stride + 1;
  }
  return fits;
}

}  // namespace

CudnnPorts ports_of(const Described& op) {
  const auto ports = [&](std::initializer_list<int> in, int out) {
    CudnnPorts found;
    for (int name : in) {
      if (op.has(name)) found.in.push_back(op.descriptor(name));
    }
    found.out = op.descriptor(out);
    return found;
  };
  switch (op.type) {
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      return ports({CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
                    CUDNN_ATTR_OPERATION_POINTWISE_TDESC},
                   CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      return ports({CUDNN_ATTR_OPERATION_REDUCTION_XDESC}, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
      return ports({CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_ATTR_OPERATION_MATMUL_BDESC},
                   CUDNN_ATTR_OPERATION_MATMUL_CDESC);
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
      return ports({CUDNN_ATTR_OPERATION_RESHAPE_XDESC}, CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      return ports(
          {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W},
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      return ports({CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W},
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
      return ports({CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X},
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW);
    default:
      return {};
  }
}

std::map<int64_t, const CudnnDescribed*> tensors_in_memory(const Described& graph) {
  std::map<int64_t, const Described*> tensors;
  const auto operations = graph.attributes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).count;
  for (int64_t i = 0; i < operations; ++i) {
    CudnnPorts ports =
        ports_of(*graph.descriptor(CUDNN_ATTR_OPERATIONGRAPH_OPS, static_cast<size_t>(i)));
    ports.in.push_back(ports.out);
    for (const Described* t : ports.in) {
      if (!t->value<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL)) {
        tensors[t->value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)] = t;
      }
    }
  }
  return tensors;
}

std::string check_tensor(const Described& t) {
  const auto extents = t.numbers(CUDNN_ATTR_TENSOR_DIMENSIONS);
  const auto strides = t.numbers(CUDNN_ATTR_TENSOR_STRIDES);
  if (extents.empty() || extents.size() != strides.size()) return "tensor without extents";
  for (size_t d = 0; d < extents.size(); ++d) {
    if (extents[d] < 1) return "tensor with an empty dimension";
    if (strides[d] < 0) return "tensor with a negative stride";
  }
  for (int needed : {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_ATTR_TENSOR_DATA_TYPE,
                     CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT}) {
    if (!t.has(needed)) return concat("tensor without attribute ", needed);
  }
  return "";
}

std::string check_operation(const Described& op) {
  const CudnnPorts ports = ports_of(op);
  if (!ports.out || ports.in.empty()) return "operation without operands";
  for (const Described* t : ports.in) {
    if (!t->is_final) return "operand not finalised";
  }
  if (!ports.out->is_final) return "result not finalised";
  const auto out = extents(ports.out);
  switch (op.type) {
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      for (const Described* t : ports.in) {
        if (!broadcasts(extents(t), out)) return "pointwise operand does not broadcast";
      }
      return "";
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      return broadcasts(out, extents(ports.in[0])) ? "" : "reduction to another shape";
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
      return is_matmul(extents(ports.in[0]), extents(ports.in[1]), out)
                 ? ""
                 : "matmul of shapes that do not fit";
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR: {
      int64_t before = 1, after = 1;
      for (int64_t e : extents(ports.in[0])) before *= e;
      for (int64_t e : out) after *= e;
      return before == after ? "" : "reshape to another size";
    }
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      return is_convolution(op, ports.in[0], ports.in[1], ports.out)
                 ? ""
                 : "convolution of shapes that do not fit";
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      return is_convolution(op, ports.out, ports.in[1], ports.in[0])
                 ? ""
                 : "input gradient of shapes that do not fit";
    default:
      return is_convolution(op, ports.in[1], ports.out, ports.in[0])
                 ? ""
                 : "weight gradient of shapes that do not fit";
  }
}

std::string check_graph(const Described& graph) {
  std::map<int64_t, const Described*> known;
  std::set<int64_t> written;
  const auto operations = graph.attributes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).count;
  for (int64_t i = 0; i < operations; ++i) {
    const Described* op = graph.descriptor(CUDNN_ATTR_OPERATIONGRAPH_OPS, static_cast<size_t>(i));
    if (!op->is_final) return "operation not finalised";
    CudnnPorts ports = ports_of(*op);
    for (const Described* t : ports.in) {
      const int64_t uid = t->value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
      if (!known.emplace(uid, t).second && known[uid] != t) return "number used twice";
      if (t->value<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL) && !written.contains(uid)) {
        return concat("temporary ", uid, " read before it is written");
      }
    }
    const int64_t uid = ports.out->value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
    if (!known.emplace(uid, ports.out).second && known[uid] != ports.out) {
      return "number used twice";
    }
    if (!written.insert(uid).second) return concat("tensor ", uid, " written twice");
  }
  return "";
}

std::string check_pack(const Described& graph, const std::vector<int64_t>& uids) {
  std::set<int64_t> given(uids.begin(), uids.end()), needed;
  if (given.size() != uids.size()) return "a number bound twice";
  for (const auto& [uid, t] : tensors_in_memory(graph)) needed.insert(uid);
  return given == needed ? "" : "not the graph's tensors are bound";
}

}  // namespace trireme::testing
