// Every entry point of the CUDA runtime that Trireme calls, as a table of pointers.
//
// All calls go through it, kernel launches included. So a test can put a device of its own behind
// the whole library: one that counts, delays or fails, on a machine without a GPU.

#pragma once

#include <cuda_runtime_api.h>

namespace trireme::cuda {

/// Starts out as the runtime itself, which is linked statically. Names are the runtime's own,
/// without the prefix.
struct Api {
  // Devices. Before the first of these nothing touches the driver.
  cudaError_t (*get_device_count)(int*);
  cudaError_t (*set_device)(int);
  cudaError_t (*get_device)(int*);
  cudaError_t (*get_device_properties)(cudaDeviceProp*, int);
  cudaError_t (*device_get_attribute)(int*, cudaDeviceAttr, int);
  cudaError_t (*driver_get_version)(int*);
  cudaError_t (*get_last_error)();

  cudaError_t (*device_get_stream_priority_range)(int*, int*);
  cudaError_t (*stream_create_with_priority)(cudaStream_t*, unsigned, int);
  cudaError_t (*stream_destroy)(cudaStream_t);
  cudaError_t (*stream_synchronize)(cudaStream_t);
  cudaError_t (*stream_wait_event)(cudaStream_t, cudaEvent_t, unsigned);
  cudaError_t (*stream_is_capturing)(cudaStream_t, cudaStreamCaptureStatus*);

  cudaError_t (*event_create_with_flags)(cudaEvent_t*, unsigned);
  cudaError_t (*event_destroy)(cudaEvent_t);
  cudaError_t (*event_record)(cudaEvent_t, cudaStream_t);
  cudaError_t (*event_query)(cudaEvent_t);
  cudaError_t (*event_synchronize)(cudaEvent_t);
  cudaError_t (*event_elapsed_time)(float*, cudaEvent_t, cudaEvent_t);

  cudaError_t (*mem_get_info)(size_t*, size_t*);
  cudaError_t (*mem_pool_create)(cudaMemPool_t*, const cudaMemPoolProps*);
  cudaError_t (*mem_pool_set_attribute)(cudaMemPool_t, cudaMemPoolAttr, void*);
  cudaError_t (*mem_pool_get_attribute)(cudaMemPool_t, cudaMemPoolAttr, void*);
  cudaError_t (*mem_pool_trim_to)(cudaMemPool_t, size_t);
  cudaError_t (*malloc_from_pool_async)(void**, size_t, cudaMemPool_t, cudaStream_t);
  cudaError_t (*free_async)(void*, cudaStream_t);
  cudaError_t (*host_alloc)(void**, size_t, unsigned);
  cudaError_t (*free_host)(void*);
  cudaError_t (*host_get_device_pointer)(void**, void*, unsigned);
  cudaError_t (*memcpy_async)(void*, const void*, size_t, cudaMemcpyKind, cudaStream_t);
  cudaError_t (*memset_async)(void*, int, size_t, cudaStream_t);
  cudaError_t (*memcpy_peer_async)(void*, int, const void*, int, size_t, cudaStream_t);

  cudaError_t (*launch_kernel)(const void*, dim3, dim3, void**, size_t, cudaStream_t);
  cudaError_t (*occupancy_max_active_blocks)(int*, const void*, int, size_t);
  cudaError_t (*func_set_attribute)(const void*, cudaFuncAttribute, int);

  cudaError_t (*stream_begin_capture)(cudaStream_t, cudaStreamCaptureMode);
  cudaError_t (*stream_end_capture)(cudaStream_t, cudaGraph_t*);
  cudaError_t (*graph_get_nodes)(cudaGraph_t, cudaGraphNode_t*, size_t*);
  cudaError_t (*graph_instantiate)(cudaGraphExec_t*, cudaGraph_t, unsigned long long);
  cudaError_t (*graph_launch)(cudaGraphExec_t, cudaStream_t);
  cudaError_t (*graph_exec_destroy)(cudaGraphExec_t);
  cudaError_t (*graph_destroy)(cudaGraph_t);
};

/// The table in force.
const Api& api();

/// Puts `table` in force while it lives: for tests. Not while another thread uses CUDA.
class ScopedApi {
 public:
  explicit ScopedApi(const Api& table);
  ~ScopedApi();
  ScopedApi(const ScopedApi&) = delete;

 private:
  Api previous_;
};

}  // namespace trireme::cuda
