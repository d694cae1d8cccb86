// Streams and events. Work of one thread goes to that thread's current stream of the device.
//
// The current stream starts as a non-blocking stream made once per device, not as the legacy
// default stream, which would wait for all others. Making a stream current with StreamGuard also
// makes its device the thread's CUDA device.

#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/base/device_tag.h"

namespace trireme::cuda {

enum class Priority { kNormal, kHigh };

/// A non-blocking stream that lives as long as the object. Work queued on it is not waited for;
/// memory allocated on it passes to the device's own stream when it dies, behind that work.
class Stream {
 public:
  explicit Stream(int device, Priority priority = Priority::kNormal);
  ~Stream();
  Stream(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }
  int device() const { return device_; }

 private:
  int device_;
  cudaStream_t stream_ = nullptr;
};

/// The calling thread's current stream of `device`; also makes `device` the thread's CUDA device.
cudaStream_t current_stream(int device);
/// The stream that is current where nobody has chosen another: one per device.
cudaStream_t default_stream(int device);

/// Makes a stream the calling thread's current one of its device while the guard lives.
class StreamGuard {
 public:
  explicit StreamGuard(const Stream& stream);
  ~StreamGuard();
  StreamGuard(const StreamGuard&) = delete;

 private:
  int device_;
  cudaStream_t previous_;
};

/// A point in a stream's work, without timing (timing events serialise). Reusable; events come from
/// a pool, so making one costs no call into the driver in the steady state.
class Event {
 public:
  explicit Event(int device);
  ~Event();
  Event(const Event&) = delete;
  void record(cudaStream_t stream);
  /// Later work of `stream` waits for the recorded point. The host does not wait.
  void make_wait(cudaStream_t stream) const;
  bool is_done() const;
  /// Blocks the host; counted in sync_count().
  void synchronize() const;
  cudaEvent_t get() const { return event_; }

 private:
  int device_;
  cudaEvent_t event_ = nullptr;
};

/// Blocks the host until all work queued on the current stream is done, and throws what went wrong
/// in it: a fault in a kernel, or an index that a kernel found outside its table (core/cuda/
/// index_error.h). What waits besides is Event::synchronize, and what sync_count() leaves out.
void synchronize(int device);

/// Host waits so far, without HostCopy's, timings' and TRIREME_SYNC_DEBUG's: a step adds none.
int64_t sync_count();
/// Counts a wait that goes neither through synchronize nor through Event::synchronize.
void count_sync();

/// A stream of the device that is never captured: where the memory of graphs comes from.
cudaStream_t allocation_stream(int device);

}  // namespace trireme::cuda
