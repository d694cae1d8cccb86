// Counts calls at the table of CUDA's entry points, on a real device and on an emulated one. What
// the library counts by itself can miss a wait that it has forgotten to count; this cannot.

#pragma once

#include <atomic>

#include "core/cuda/api.h"

namespace trireme::testing {

/// Counts while it lives. One at a time; no other thread may use CUDA where it begins or ends.
class ApiCalls {
 public:
  ApiCalls() : in_force_(counting()) {}
  /// The host has waited for a stream (stream_synchronize), for an event (event_synchronize).
  int stream_waits() const { return stream_waits_; }
  int event_waits() const { return event_waits_; }
  /// Kernels of our own: libraries launch theirs by themselves.
  int launches() const { return launches_; }
  /// Kernels that asked for more than they have by default, such as shared memory.
  int attributes() const { return attributes_; }

 private:
  static cuda::Api counting() {
    stream_waits_ = event_waits_ = launches_ = attributes_ = 0;
    below_ = cuda::api();
    cuda::Api table = below_;
    table.stream_synchronize = [](cudaStream_t stream) {
      ++stream_waits_;
      return below_.stream_synchronize(stream);
    };
    table.event_synchronize = [](cudaEvent_t event) {
      ++event_waits_;
      return below_.event_synchronize(event);
    };
    table.launch_kernel = [](const void* kernel, dim3 grid, dim3 block, void** arguments,
                             size_t shared, cudaStream_t stream) {
      ++launches_;
      return below_.launch_kernel(kernel, grid, block, arguments, shared, stream);
    };
    table.func_set_attribute = [](const void* kernel, cudaFuncAttribute attribute, int value) {
      ++attributes_;
      return below_.func_set_attribute(kernel, attribute, value);
    };
    return table;
  }

  static inline cuda::Api below_ = {};
  static inline std::atomic<int> stream_waits_ = 0, event_waits_ = 0, launches_ = 0,
                                 attributes_ = 0;
  cuda::ScopedApi in_force_;
};

}  // namespace trireme::testing
