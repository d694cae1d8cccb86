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

/// True if each element of `few` stands for some neighbours of `many`.
bool divides(const std::vector<int64_t>& few, const std::vector<int64_t>& many) {
  if (few.size() != many.size()) return false;
  for (size_t d = 0; d < few.size(); ++d) {
    if (many[d] % few[d] != 0) return false;
  }
  return true;
}

bool is_matmul(const std::vector<int64_t>& a, const std::vector<int64_t>& b,
               const std::vector<int64_t>& c) {
  const size_t r = a.size();
  return r >= 3 && b.size() == r && c.size() == r && a[r - 2] == c[r - 2] && a[r - 1] == b[r - 2] &&
         b[r - 1] == c[r - 1] && std::equal(a.begin(), a.end() - 2, c.begin()) &&
         divides({b.begin(), b.end() - 2}, {c.begin(), c.end() - 2});
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

bool is_training(const Described& norm) {
  return norm.value<cudnnBackendNormFwdPhase_t>(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE) ==
         CUDNN_NORM_FWD_TRAINING;
}

/// Every tensor is x's size, one number per channel, or a scalar, and none is missing.
bool is_batch_norm(const Described& op, const CudnnPorts& ports) {
  const bool forward = op.type == CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR;
  const size_t in = forward && is_training(op) ? 4 : 5;
  const size_t out = forward ? (is_training(op) ? 3 : 1) : 3;
  const auto x = extents(ports.in[0]);
  bool fits = ports.in.size() == in && ports.all_out().size() == out && x.size() == 4 &&
              extents(ports.out) == x;
  for (const auto& list : {ports.in, ports.more_out}) {
    for (const Described* t : list) fits = fits && broadcasts(extents(t), x);
  }
  const std::vector<int64_t> channel{1, x[1], 1, 1};
  for (const Described* t : ports.more_out) fits = fits && extents(t) == channel;
  return fits;
}

bool is_pooling(const Described& op, const CudnnPorts& ports) {
  const bool forward = op.type == CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR;
  const Described& what = *op.descriptor(forward ? CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC
                                                 : CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DESC);
  const auto x = extents(forward ? ports.in[0] : ports.out);
  const auto y = extents(forward ? ports.out : ports.in[0]);
  const auto fraction = [&](int name, size_t d) { return what.numbers(name).at(2 * d); };
  bool fits = x.size() == 4 && y.size() == 4 && x[0] == y[0] && x[1] == y[1];
  for (size_t d = 0; fits && d < 2; ++d) {
    const int64_t padded = x[d + 2] + fraction(CUDNN_ATTR_RESAMPLE_PRE_PADDINGS, d) +
                           fraction(CUDNN_ATTR_RESAMPLE_POST_PADDINGS, d);
    fits = y[d + 2] == (padded - fraction(CUDNN_ATTR_RESAMPLE_WINDOW_DIMS, d)) /
                               fraction(CUDNN_ATTR_RESAMPLE_STRIDES, d) +
                           1;
  }
  for (const Described* t : ports.more_out) fits = fits && extents(t) == y;
  const bool is_max =
      what.value<cudnnResampleMode_t>(CUDNN_ATTR_RESAMPLE_MODE) == CUDNN_RESAMPLE_MAXPOOL;
  const bool has_place = !forward && ports.in.size() == 2;
  if (has_place) fits = fits && extents(ports.in[1]) == y;
  return fits && (forward || has_place == is_max);
}

}  // namespace

std::vector<const CudnnDescribed*> CudnnPorts::all_out() const {
  std::vector<const Described*> all = more_out;
  all.push_back(out);
  return all;
}

CudnnPorts ports_of(const Described& op) {
  const auto ports = [&](std::initializer_list<int> in, int out,
                         std::initializer_list<int> more = {}) {
    CudnnPorts found;
    for (int name : in) {
      if (op.has(name)) found.in.push_back(op.descriptor(name));
    }
    found.out = op.descriptor(out);
    for (int name : more) {
      if (op.has(name)) found.more_out.push_back(op.descriptor(name));
    }
    return found;
  };
  switch (op.type) {
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      if (op.has(CUDNN_ATTR_OPERATION_POINTWISE_DXDESC)) {
        return ports({CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC},
                     CUDNN_ATTR_OPERATION_POINTWISE_DXDESC);
      }
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
    case CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR:
      if (is_training(op)) {
        return ports(
            {CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC,
             CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC},
            CUDNN_ATTR_OPERATION_NORM_FWD_YDESC,
            {CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC,
             CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC});
      }
      return ports(
          {CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC,
           CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC,
           CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC},
          CUDNN_ATTR_OPERATION_NORM_FWD_YDESC);
    case CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR:
      return ports(
          {CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC,
           CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC,
           CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC},
          CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC,
          {CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC});
    case CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR:
      return ports({CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC},
                   CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC,
                   {CUDNN_ATTR_OPERATION_RESAMPLE_FWD_IDXDESC});
    case CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR:
      return ports(
          {CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DYDESC, CUDNN_ATTR_OPERATION_RESAMPLE_BWD_IDXDESC},
          CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DXDESC);
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
    for (const Described* t : ports.all_out()) ports.in.push_back(t);
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
  for (const Described* t : ports.all_out()) {
    if (!t->is_final) return "result not finalised";
  }
  const auto out = extents(ports.out);
  switch (op.type) {
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      for (const Described* t : ports.in) {
        if (!broadcasts(extents(t), out)) return "pointwise operand does not broadcast";
      }
      return "";
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      return divides(out, extents(ports.in[0])) ? "" : "reduction to another shape";
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
    case CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR:
      return is_batch_norm(op, ports) ? "" : "batch norm of shapes that do not fit";
    case CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR:
      return is_pooling(op, ports) ? "" : "pooling of shapes that do not fit";
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
    for (const Described* t : ports.all_out()) {
      const int64_t uid = t->value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
      if (!known.emplace(uid, t).second && known[uid] != t) return "number used twice";
      if (!written.insert(uid).second) return concat("tensor ", uid, " written twice");
    }
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
