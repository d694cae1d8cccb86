#include "core/cuda/api.h"

namespace trireme::cuda {
namespace {

// cudaOccupancyMaxActiveBlocksPerMultiprocessor has overloads in C++.
cudaError_t occupancy(int* blocks, const void* kernel, int threads, size_t shared_bytes) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, kernel, threads, shared_bytes);
}

constinit Api table = {
    .get_device_count = cudaGetDeviceCount,
    .set_device = cudaSetDevice,
    .get_device = cudaGetDevice,
    .get_device_properties = cudaGetDeviceProperties,
    .device_get_attribute = cudaDeviceGetAttribute,
    .driver_get_version = cudaDriverGetVersion,
    .get_last_error = cudaGetLastError,
    .device_get_stream_priority_range = cudaDeviceGetStreamPriorityRange,
    .stream_create_with_priority = cudaStreamCreateWithPriority,
    .stream_destroy = cudaStreamDestroy,
    .stream_synchronize = cudaStreamSynchronize,
    .stream_wait_event = cudaStreamWaitEvent,
    .stream_is_capturing = cudaStreamIsCapturing,
    .event_create_with_flags = cudaEventCreateWithFlags,
    .event_destroy = cudaEventDestroy,
    .event_record = cudaEventRecord,
    .event_query = cudaEventQuery,
    .event_synchronize = cudaEventSynchronize,
    .event_elapsed_time = cudaEventElapsedTime,
    .mem_get_info = cudaMemGetInfo,
    .mem_pool_create = cudaMemPoolCreate,
    .mem_pool_set_attribute = cudaMemPoolSetAttribute,
    .mem_pool_get_attribute = cudaMemPoolGetAttribute,
    .mem_pool_trim_to = cudaMemPoolTrimTo,
    .malloc_from_pool_async = cudaMallocFromPoolAsync,
    .free_async = cudaFreeAsync,
    .host_alloc = cudaHostAlloc,
    .free_host = cudaFreeHost,
    .host_get_device_pointer = cudaHostGetDevicePointer,
    .memcpy_async = cudaMemcpyAsync,
    .memset_async = cudaMemsetAsync,
    .memcpy_peer_async = cudaMemcpyPeerAsync,
    .launch_kernel = cudaLaunchKernel,
    .occupancy_max_active_blocks = occupancy,
    .func_set_attribute = cudaFuncSetAttribute,
    .stream_begin_capture = cudaStreamBeginCapture,
    .stream_end_capture = cudaStreamEndCapture,
    .graph_get_nodes = cudaGraphGetNodes,
    .graph_instantiate = cudaGraphInstantiate,
    .graph_launch = cudaGraphLaunch,
    .graph_exec_destroy = cudaGraphExecDestroy,
    .graph_destroy = cudaGraphDestroy,
};

}  // namespace

const Api& api() { return table; }

ScopedApi::ScopedApi(const Api& replacement) : previous_(table) { table = replacement; }
ScopedApi::~ScopedApi() { table = previous_; }

}  // namespace trireme::cuda
