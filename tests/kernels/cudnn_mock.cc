#include "tests/kernels/cudnn_mock.h"

#include <cstring>
#include <set>

#include "core/base/error.h"
#include "tests/kernels/cudnn_mock_checks.h"
#include "tests/kernels/cudnn_mock_recurrent.h"

namespace trireme::testing {
namespace {

using Described = CudnnDescribed;
CudnnMockState the_state;
std::set<const void*> the_live;  // descriptors that exist

/// Counts the call; true where it is the one that fails.
bool fails() { return the_state.calls++ == the_state.fail_at; }

/// Keeps the first complaint; "" is none.
cudnnStatus_t complain(const std::string& text) {
  if (text.empty()) return CUDNN_STATUS_SUCCESS;
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
    case CUDNN_TYPE_FRACTION:
      return 16;
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
  if (d.type == CUDNN_BACKEND_TENSOR_DESCRIPTOR) status = complain(check_tensor(d));
  if (ports_of(d).out) status = complain(check_operation(d));
  if (d.type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    status =
        the_state.supports ? complain(check_graph(d)) : CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
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
  const cudnnStatus_t status = complain(check_pack(*graph, uids));
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
  return {first, first + at->second.bytes.size() / sizeof(int64_t)};
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
  add_recurrent_layers(api_);
}

CudnnMockState& CudnnMock::state() { return the_state; }

}  // namespace trireme::testing
