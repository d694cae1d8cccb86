// Copies of dense bytes between the host and the devices. None of these headers' types are CUDA's:
// core/tensor includes it in every build, and calls it in builds with CUDA.

#pragma once

#include <cstdint>
#include <memory>

#include "core/base/device_tag.h"

namespace trireme::cuda {

/// Host to device, on the current stream. Bytes are copied into pinned memory first, so `from` may
/// be changed when this returns and the host does not wait; only beyond 512 MiB, or where the
/// system locks no more memory, the driver copies from `from` itself and the host waits for that.
void copy_to_device(int device, void* to, const void* from, int64_t bytes);

/// Device to host. Waits (counted in sync_count) and throws what went wrong on the stream.
void copy_to_host(int device, void* to, const void* from, int64_t bytes);

/// From one device to another: ordered behind the current stream of `from_device`, before later
/// work of the current stream of `to_device`, and both blocks may be freed as soon as this returns.
void copy_across(int to_device, void* to, int from_device, const void* from, int64_t bytes);

/// Device to host without waiting: `HostCopy copy(device, from, bytes)` queues the copy on the
/// current stream; later, when the device has gone on, wait() and data().
class HostCopy {
 public:
  HostCopy(int device, const void* from, int64_t bytes);
  ~HostCopy();
  HostCopy(const HostCopy&) = delete;

  bool is_done() const;
  /// Waits for this copy, not for what was queued behind it: so it is not counted in sync_count.
  /// Throws what went wrong on the stream until then.
  void wait() const;
  /// Requires that wait() returned or is_done().
  const void* data() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::cuda
