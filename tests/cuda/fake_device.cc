#include "tests/cuda/fake_device.h"

#include <cstdlib>
#include <cstring>

#include "core/base/error.h"

namespace trireme::testing {
namespace {

constexpr int kSms = 4;

// Counts the call and takes a failure that a test has asked for.
cudaError_t enter(const char* name) {
  FakeDevice& device = fake();
  ++device.calls[name];
  const auto it = device.fail_next.find(name);
  if (it == device.fail_next.end()) return cudaSuccess;
  const cudaError_t status = it->second;
  device.fail_next.erase(it);
  return status;
}

template <typename Handle>
Handle make_handle() {
  static intptr_t next = 1;
  return reinterpret_cast<Handle>(next++);
}

// What CUDA does not allow on a stream that is being captured.
cudaError_t refuse_if_capturing(cudaStream_t stream) {
  return fake().capturing.contains(stream) ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

cudaError_t attribute(int* value, cudaDeviceAttr which, int) {
  *value = which == cudaDevAttrMultiProcessorCount            ? kSms
           : which == cudaDevAttrComputeCapabilityMajor       ? 9
           : which == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 << 10
                                                              : 0;
  return enter("device_get_attribute");
}

cudaError_t properties(cudaDeviceProp* of, int device) {
  std::memset(of, 0, sizeof *of);
  std::strcpy(of->name, "Fake GPU");
  for (int i = 0; i < 16; ++i) of->uuid.bytes[i] = static_cast<char>(0xA0 + i + device);
  of->totalGlobalMem = static_cast<size_t>(fake().memory_bytes);
  of->major = 9;
  of->pciBusID = 0x17 + device;
  return enter("get_device_properties");
}

cudaError_t allocate(void** data, size_t bytes, cudaMemPool_t, cudaStream_t stream) {
  if (const cudaError_t status = enter("malloc_from_pool_async")) return status;
  if (const cudaError_t status = refuse_if_capturing(stream)) return status;
  FakeDevice& device = fake();
  if (device.used_bytes + static_cast<int64_t>(bytes) > device.memory_bytes) {
    return cudaErrorMemoryAllocation;
  }
  *data = std::aligned_alloc(512, (bytes + 511) / 512 * 512);
  device.used_bytes += static_cast<int64_t>(bytes);
  device.blocks[*data] = bytes;
  return cudaSuccess;
}

cudaError_t release(void* data, cudaStream_t stream) {
  FakeDevice& device = fake();
  if (const cudaError_t status = refuse_if_capturing(stream)) return status;
  const auto it = device.blocks.find(data);
  if (it == device.blocks.end() || !device.streams.contains(stream)) return cudaErrorInvalidValue;
  device.used_bytes -= static_cast<int64_t>(it->second);
  device.blocks.erase(it);
  device.freed_on[data] = stream;
  std::free(data);
  return enter("free_async");
}

cudaError_t pool_attribute(cudaMemPool_t, cudaMemPoolAttr which, void* value) {
  if (which == cudaMemPoolAttrReservedMemCurrent) {
    *static_cast<uint64_t*>(value) = static_cast<uint64_t>(fake().used_bytes);
  }
  return enter("mem_pool_get_attribute");
}

cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  if (const cudaError_t status = enter("memcpy_async")) return status;
  enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t record(cudaEvent_t event, cudaStream_t stream) {
  fake().order.push_back(concat("record ", number_of(event), " on ", number_of(stream)));
  return enter("event_record");
}

cudaError_t wait(cudaStream_t stream, cudaEvent_t event, unsigned) {
  fake().order.push_back(concat("wait ", number_of(event), " on ", number_of(stream)));
  return enter("stream_wait_event");
}

// The device starts without streams and blocks; what the library made once per process stays valid
// through every test, as it would on a real device.
cuda::Api make_api() {
  cuda::Api api = cuda::api();
  api.get_device_count = [](int* count) {
    *count = fake().devices;
    return enter("get_device_count");
  };
  api.set_device = [](int) { return enter("set_device"); };
  api.get_device_properties = properties;
  api.device_get_attribute = attribute;
  api.driver_get_version = [](int* version) {
    *version = 13000;
    return enter("driver_get_version");
  };
  api.get_last_error = [] { return enter("get_last_error"); };
  api.device_get_stream_priority_range = [](int* least, int* greatest) {
    *least = 0;
    *greatest = -5;
    return enter("device_get_stream_priority_range");
  };
  api.stream_create_with_priority = [](cudaStream_t* stream, unsigned, int) {
    *stream = make_handle<cudaStream_t>();
    fake().streams.insert(*stream);
    return enter("stream_create_with_priority");
  };
  api.stream_destroy = [](cudaStream_t stream) {
    fake().streams.erase(stream);
    return enter("stream_destroy");
  };
  api.stream_synchronize = [](cudaStream_t stream) {
    const cudaError_t status = enter("stream_synchronize");
    return status ? status : refuse_if_capturing(stream);
  };
  api.stream_wait_event = wait;
  api.stream_is_capturing = [](cudaStream_t stream, cudaStreamCaptureStatus* status) {
    *status = fake().capturing.contains(stream) ? cudaStreamCaptureStatusActive
                                                : cudaStreamCaptureStatusNone;
    return enter("stream_is_capturing");
  };
  api.event_create_with_flags = [](cudaEvent_t* event, unsigned) {
    *event = make_handle<cudaEvent_t>();
    fake().events.insert(*event);
    return enter("event_create_with_flags");
  };
  api.event_destroy = [](cudaEvent_t) { return enter("event_destroy"); };
  api.event_record = record;
  api.event_query = [](cudaEvent_t) {
    const cudaError_t status = enter("event_query");
    return status ? status : fake().events_are_done ? cudaSuccess : cudaErrorNotReady;
  };
  api.event_synchronize = [](cudaEvent_t) {
    if (fake().on_event_synchronize) fake().on_event_synchronize();
    return enter("event_synchronize");
  };
  api.event_elapsed_time = [](float* ms, cudaEvent_t, cudaEvent_t) {
    *ms = 1;
    return enter("event_elapsed_time");
  };
  api.mem_get_info = [](size_t* free, size_t* total) {
    *free = static_cast<size_t>(fake().memory_bytes - fake().used_bytes);
    *total = static_cast<size_t>(fake().memory_bytes);
    return enter("mem_get_info");
  };
  api.mem_pool_create = [](cudaMemPool_t* pool, const cudaMemPoolProps*) {
    *pool = make_handle<cudaMemPool_t>();
    return enter("mem_pool_create");
  };
  api.mem_pool_set_attribute = [](cudaMemPool_t, cudaMemPoolAttr, void*) {
    return enter("mem_pool_set_attribute");
  };
  api.mem_pool_get_attribute = pool_attribute;
  api.mem_pool_trim_to = [](cudaMemPool_t, size_t) { return enter("mem_pool_trim_to"); };
  api.malloc_from_pool_async = allocate;
  api.free_async = release;
  api.host_alloc = [](void** data, size_t bytes, unsigned) {
    if (const cudaError_t status = enter("host_alloc")) return status;
    *data = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    return cudaSuccess;
  };
  api.host_get_device_pointer = [](void** to, void* from, unsigned) {
    *to = from;
    return enter("host_get_device_pointer");
  };
  api.free_host = [](void* data) {
    std::free(data);
    return enter("free_host");
  };
  api.memcpy_async = copy;
  api.memset_async = [](void* to, int value, size_t bytes, cudaStream_t stream) {
    if (const cudaError_t status = enter("memset_async")) return status;
    enqueue(stream, [=] { std::memset(to, value, bytes); });
    return cudaSuccess;
  };
  api.memcpy_peer_async = [](void* to, int, const void* from, int, size_t bytes, cudaStream_t) {
    std::memcpy(to, from, bytes);
    return enter("memcpy_peer_async");
  };
  api.launch_kernel = [](const void*, dim3, dim3, void**, size_t, cudaStream_t) {
    return enter("launch_kernel");
  };
  api.occupancy_max_active_blocks = [](int* blocks, const void*, int, size_t) {
    *blocks = 8;
    return enter("occupancy_max_active_blocks");
  };
  api.func_set_attribute = [](const void*, cudaFuncAttribute, int) {
    return enter("func_set_attribute");
  };
  api.stream_begin_capture = [](cudaStream_t stream, cudaStreamCaptureMode) {
    fake().capturing.insert(stream);
    return enter("stream_begin_capture");
  };
  api.stream_end_capture = [](cudaStream_t stream, cudaGraph_t* graph) {
    fake().capturing.erase(stream);
    *graph = make_handle<cudaGraph_t>();
    fake().graphs[*graph] = std::exchange(fake().recorded[stream], {});
    return enter("stream_end_capture");
  };
  api.graph_get_nodes = [](cudaGraph_t, cudaGraphNode_t*, size_t* count) {
    *count = static_cast<size_t>(fake().graph_nodes);
    return enter("graph_get_nodes");
  };
  api.graph_instantiate = [](cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
    *exec = make_handle<cudaGraphExec_t>();
    fake().execs[*exec] = fake().graphs[graph];
    return enter("graph_instantiate");
  };
  api.graph_launch = [](cudaGraphExec_t exec, cudaStream_t) {
    for (const auto& work : fake().execs[exec]) work();
    return enter("graph_launch");
  };
  api.graph_exec_destroy = [](cudaGraphExec_t) { return enter("graph_exec_destroy"); };
  api.graph_destroy = [](cudaGraph_t) { return enter("graph_destroy"); };
  return api;
}

}  // namespace

void enqueue(cudaStream_t stream, std::function<void()> work) {
  if (!fake().capturing.contains(stream)) return work();
  fake().recorded[stream].push_back(std::move(work));
}

FakeDevice& fake() {
  static auto* const device = new FakeDevice;
  return *device;
}

FakeDeviceGuard::FakeDeviceGuard() : api_(make_api()) {}

FakeDeviceGuard::~FakeDeviceGuard() {
  FakeDevice& device = fake();
  device.calls.clear();
  device.fail_next.clear();
  device.order.clear();
  device.capturing.clear();
  device.devices = 1;
  device.memory_bytes = int64_t{1} << 30;
  device.events_are_done = true;
  device.graph_nodes = 1;
}

int number_of(const void* handle) { return static_cast<int>(reinterpret_cast<intptr_t>(handle)); }

}  // namespace trireme::testing
