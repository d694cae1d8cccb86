#include "tests/kernels/cudnn_mock.h"

#include <cstring>
#include <set>

#include "core/base/error.h"

namespace trireme::testing {
namespace {

using Described = CudnnDescribed;
CudnnMockState the_state;
std::set<const void*> the_live;  // descriptors that exist

/// Counts the call; true where it is the one that fails.
bool fails() { return the_state.calls++ == the_state.fail_at; }

cudnnStatus_t complain(const std::string& text) {
  if (the_state.complaint.empty()) the_state.complaint = text;
  return CUDNN_STATUS_BAD_PARAM;
}

Described* described(cudnnBackendDescriptor_t p) { return static_cast<Described*>(p); }

size_t size_of_type(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_BOOLEAN:
      return sizeof(bool);
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    default:
      return 4;  // f32 and the enumerations
  }
}

// What an engine descriptor and a configuration keep for themselves.
constexpr int kEngine = 5000, kGraph = 5001;

void set_own(Described& d, int name, int64_t value) {
  const char* from = reinterpret_cast<const char*>(&value);
  d.attributes[name] = {CUDNN_TYPE_INT64, 1, {from, from + sizeof(value)}};
}

// ---- what cuDNN checks when a descriptor is finalised ----

cudnnStatus_t check_tensor(const Described& t) {
  const auto extents = t.numbers(CUDNN_ATTR_TENSOR_DIMENSIONS);
  const auto strides = t.numbers(CUDNN_ATTR_TENSOR_STRIDES);
  if (extents.empty() || extents.size() != strides.size())
    return complain("tensor without extents");
  for (size_t d = 0; d < extents.size(); ++d) {
    if (extents[d] < 1) return complain("tensor with an empty dimension");
    if (strides[d] < 0) return complain("tensor with a negative stride");
  }
  for (int needed : {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_ATTR_TENSOR_DATA_TYPE,
                     CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT}) {
    if (!t.has(needed)) return complain(concat("tensor without attribute ", needed));
  }
  return CUDNN_STATUS_SUCCESS;
}

/// The tensors of an operation: what it reads and what it writes.
struct Ports {
  std::vector<const Described*> in;
  const Described* out = nullptr;
};
Ports ports_of(const Described& op) {
  const auto ports = [&](std::initializer_list<int> in, int out) {
    Ports found;
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

cudnnStatus_t check_operation(const Described& op) {
  const Ports ports = ports_of(op);
  if (!ports.out || ports.in.empty()) return complain("operation without operands");
  for (const Described* t : ports.in) {
    if (!t->is_final) return complain("operand not finalised");
  }
  if (!ports.out->is_final) return complain("result not finalised");
  const auto out = extents(ports.out);
  switch (op.type) {
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      for (const Described* t : ports.in) {
        if (!broadcasts(extents(t), out)) return complain("pointwise operand does not broadcast");
      }
      return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      return broadcasts(out, extents(ports.in[0])) ? CUDNN_STATUS_SUCCESS
                                                   : complain("reduction to another shape");
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
      return is_matmul(extents(ports.in[0]), extents(ports.in[1]), out)
                 ? CUDNN_STATUS_SUCCESS
                 : complain("matmul of shapes that do not fit");
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR: {
      int64_t before = 1, after = 1;
      for (int64_t e : extents(ports.in[0])) before *= e;
      for (int64_t e : out) after *= e;
      return before == after ? CUDNN_STATUS_SUCCESS : complain("reshape to another size");
    }
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      return is_convolution(op, ports.in[0], ports.in[1], ports.out)
                 ? CUDNN_STATUS_SUCCESS
                 : complain("convolution of shapes that do not fit");
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      return is_convolution(op, ports.out, ports.in[1], ports.in[0])
                 ? CUDNN_STATUS_SUCCESS
                 : complain("input gradient of shapes that do not fit");
    default:
      return is_convolution(op, ports.in[1], ports.out, ports.in[0])
                 ? CUDNN_STATUS_SUCCESS
                 : complain("weight gradient of shapes that do not fit");
  }
}

/// Numbers are unique, and every temporary is written once, before it is read.
cudnnStatus_t check_graph(const Described& graph) {
  std::map<int64_t, const Described*> known;
  std::set<int64_t> written;
  const auto operations = graph.attributes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).count;
  for (int64_t i = 0; i < operations; ++i) {
    const Described* op = graph.descriptor(CUDNN_ATTR_OPERATIONGRAPH_OPS, static_cast<size_t>(i));
    if (!op->is_final) return complain("operation not finalised");
    Ports ports = ports_of(*op);
    for (const Described* t : ports.in) {
      const int64_t uid = t->value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
      if (!known.emplace(uid, t).second && known[uid] != t) return complain("number used twice");
      if (t->value<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL) && !written.contains(uid)) {
        return complain(concat("temporary ", uid, " read before it is written"));
      }
    }
    const int64_t uid = ports.out->value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
    if (!known.emplace(uid, ports.out).second && known[uid] != ports.out) {
      return complain("number used twice");
    }
    if (!written.insert(uid).second) return complain(concat("tensor ", uid, " written twice"));
  }
  return CUDNN_STATUS_SUCCESS;
}

/// The graph's tensors that lie in memory, by number.
std::map<int64_t, const Described*> tensors_in_memory(const Described& graph) {
  std::map<int64_t, const Described*> tensors;
  const auto operations = graph.attributes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).count;
  for (int64_t i = 0; i < operations; ++i) {
    Ports ports =
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

/// Every tensor of the graph that lies in memory has a pointer.
cudnnStatus_t check_pack(const Described& graph, const std::vector<int64_t>& uids) {
  std::set<int64_t> given(uids.begin(), uids.end()), needed;
  if (given.size() != uids.size()) return complain("a number bound twice");
  for (const auto& [uid, t] : tensors_in_memory(graph)) needed.insert(uid);
  return given == needed ? CUDNN_STATUS_SUCCESS : complain("not the graph's tensors are bound");
}

/// A copy of the number at `data`, as long as the mock lives.
void* kept(const Described& tensor, const void* data) {
  const auto type = tensor.value<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
  std::array<char, 8>& copy = the_state.values.emplace_back();
  std::memcpy(copy.data(), data, type == CUDNN_DATA_INT64 || type == CUDNN_DATA_DOUBLE ? 8 : 4);
  return copy.data();
}

// ---- the entry points ----

cudnnStatus_t create(cudnnHandle_t* out) {
  if (fails()) return the_state.failure;
  *out = reinterpret_cast<cudnnHandle_t>(new int);
  ++the_state.live_objects;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t destroy(cudnnHandle_t handle) {
  delete reinterpret_cast<int*>(handle);
  --the_state.live_objects;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t create_descriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* out) {
  if (fails()) return the_state.failure;
  auto* made = new Described{type, false, {}};
  the_live.insert(made);
  ++the_state.live_objects;
  *out = made;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t destroy_descriptor(cudnnBackendDescriptor_t p) {
  if (the_live.erase(p) == 0) return complain("destroyed twice");
  delete described(p);
  --the_state.live_objects;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set_attribute(cudnnBackendDescriptor_t p, cudnnBackendAttributeName_t name,
                            cudnnBackendAttributeType_t type, int64_t count, const void* values) {
  if (fails()) return the_state.failure;
  if (described(p)->is_final) return complain("attribute set after finalising");
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    for (int64_t i = 0; i < count; ++i) {
      const auto* other = static_cast<const cudnnBackendDescriptor_t*>(values)[i];
      if (!the_live.contains(other)) return complain("attribute is a descriptor that is gone");
    }
  }
  const char* from = static_cast<const char*>(values);
  const size_t bytes = size_of_type(type) * static_cast<size_t>(count);
  described(p)->attributes[name] = {type, count, {from, from + bytes}};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t get_attribute(cudnnBackendDescriptor_t const p, cudnnBackendAttributeName_t name,
                            cudnnBackendAttributeType_t, int64_t requested, int64_t* count,
                            void* values) {
  if (fails()) return the_state.failure;
  Described& d = *described(p);
  const auto descriptors = static_cast<cudnnBackendDescriptor_t*>(values);
  switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
      *count = requested == 0 ? the_state.engines : std::min<int64_t>(requested, the_state.engines);
      for (int64_t i = 0; i < (requested ? *count : 0); ++i) {
        Described& config = *described(descriptors[i]);
        set_own(config, kEngine, i);
        config.attributes[kGraph] = d.attributes.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
        config.is_final = true;
      }
      return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINECFG_ENGINE:
      *count = 1;
      set_own(*described(descriptors[0]), kEngine, d.value<int64_t>(kEngine));
      return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: {
      const auto& notes = the_state.notes.at(static_cast<size_t>(d.value<int64_t>(kEngine)));
      *count = static_cast<int64_t>(notes.size());
      std::copy(notes.begin(), notes.end(), static_cast<cudnnBackendNumericalNote_t*>(values));
      return CUDNN_STATUS_SUCCESS;
    }
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
      *count = 1;
      *static_cast<int64_t*>(values) = the_state.workspace_bytes;
      return CUDNN_STATUS_SUCCESS;
    default:
      return complain(concat("attribute ", static_cast<int>(name), " asked for"));
  }
}

cudnnStatus_t finalize(cudnnBackendDescriptor_t p) {
  if (fails()) return the_state.failure;
  Described& d = *described(p);
  if (d.is_final) return complain("finalised twice");
  cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
  if (d.type == CUDNN_BACKEND_TENSOR_DESCRIPTOR) status = check_tensor(d);
  if (ports_of(d).out) status = check_operation(d);
  if (d.type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    status = the_state.supports ? check_graph(d) : CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
  }
  d.is_final = status == CUDNN_STATUS_SUCCESS;
  return status;
}

cudnnStatus_t execute(cudnnHandle_t, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  if (fails()) return the_state.failure;
  if (!described(plan)->is_final || !described(pack)->is_final) return complain("not finalised");
  const Described* config = described(plan)->descriptor(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  if (!the_live.contains(config)) return complain("the plan's configuration is gone");
  const Described* graph = config->descriptor(kGraph);
  if (!the_live.contains(graph)) return complain("the plan's graph is gone");
  the_state.executed.push_back(static_cast<int>(config->value<int64_t>(kEngine)));
  const auto uids = described(pack)->numbers(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto& pointers = described(pack)->attributes.at(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  if (std::ssize(uids) != pointers.count) return complain("numbers and pointers differ in count");
  const auto* workspace = described(pack)->value<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  if (the_state.workspace_bytes && !workspace) return complain("no working memory");
  const cudnnStatus_t status = check_pack(*graph, uids);
  if (status != CUDNN_STATUS_SUCCESS || !the_state.execute) return status;
  std::map<int64_t, void*> memory;
  for (size_t i = 0; i < uids.size(); ++i) {
    memory[uids[i]] = reinterpret_cast<void* const*>(pointers.bytes.data())[i];
  }
  for (const auto& [uid, t] : tensors_in_memory(*graph)) {
    if (t->value<bool>(CUDNN_ATTR_TENSOR_IS_BY_VALUE)) memory[uid] = kept(*t, memory[uid]);
  }
  the_state.execute(*graph, memory);
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

std::vector<int64_t> CudnnDescribed::numbers(int name) const {
  const auto at = attributes.find(name);
  if (at == attributes.end()) return {};
  const auto* first = reinterpret_cast<const int64_t*>(at->second.bytes.data());
  return {first, first + at->second.count};
}

const CudnnDescribed* CudnnDescribed::descriptor(int name, size_t index) const {
  const auto at = attributes.find(name);
  if (at == attributes.end()) return nullptr;
  const auto* first = reinterpret_cast<const CudnnDescribed* const*>(at->second.bytes.data());
  return first[index];
}

CudnnMock::CudnnMock() {
  the_state = {};
  the_live.clear();
  api_.GetVersion = [] { return size_t{91900}; };
  api_.GetErrorString = [](cudnnStatus_t) -> const char* { return "CUDNN_STATUS_INTERNAL_ERROR"; };
  api_.GetLastErrorString = [](char* text, size_t bytes) {
    std::strncpy(text, "the mock was told to", bytes);
  };
  api_.Create = create;
  api_.Destroy = destroy;
  api_.SetStream = [](cudnnHandle_t, cudaStream_t) {
    return fails() ? the_state.failure : CUDNN_STATUS_SUCCESS;
  };
  api_.BackendCreateDescriptor = create_descriptor;
  api_.BackendDestroyDescriptor = destroy_descriptor;
  api_.BackendSetAttribute = set_attribute;
  api_.BackendGetAttribute = get_attribute;
  api_.BackendFinalize = finalize;
  api_.BackendExecute = execute;
}

CudnnMockState& CudnnMock::state() { return the_state; }

}  // namespace trireme::testing
