#include "core/cuda/stream.h"

#include <array>
#include <atomic>
#include <mutex>

#include "core/cuda/allocator.h"
#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "core/cuda/index_error.h"

namespace trireme::cuda {
namespace {

std::atomic<int64_t> syncs{0};

// Null: the default stream of the device.
thread_local std::array<cudaStream_t, kMaxDevices> chosen{};

struct OwnStreams {
  std::once_flag made;
  cudaStream_t compute = nullptr;
  cudaStream_t allocation = nullptr;
};

cudaStream_t make_stream(int device, Priority priority) {
  make_current(device);
  int least = 0, greatest = 0;
  check("stream", api().device_get_stream_priority_range(&least, &greatest));
  cudaStream_t stream = nullptr;
  check("stream", api().stream_create_with_priority(&stream, cudaStreamNonBlocking,
                                                    priority == Priority::kHigh ? greatest : 0));
  return stream;
}

const OwnStreams& own_streams(int device) {
  static std::array<OwnStreams, kMaxDevices> streams;
  if (device < 0 || device >= kMaxDevices) check("cuda", cudaErrorInvalidDevice);
  OwnStreams& own = streams[static_cast<size_t>(device)];
  std::call_once(own.made, [&] {
    own.compute = make_stream(device, Priority::kNormal);
    own.allocation = make_stream(device, Priority::kNormal);
  });
  return own;
}

}  // namespace

Stream::Stream(int device, Priority priority)
    : device_(device), stream_(make_stream(device, priority)) {}

Stream::~Stream() {
  try {
    const cudaStream_t heir = default_stream(device_);
    Event end(device_);
    end.record(stream_);
    end.make_wait(heir);
    Allocator::of(device_).move_blocks(stream_, heir);
  } catch (...) {  // the device has failed, and with it all of its work
  }
  api().stream_destroy(stream_);
}

cudaStream_t default_stream(int device) { return own_streams(device).compute; }
cudaStream_t allocation_stream(int device) { return own_streams(device).allocation; }

cudaStream_t current_stream(int device) {
  make_current(device);
  const cudaStream_t stream = chosen[static_cast<size_t>(device)];
  return stream ? stream : default_stream(device);
}

StreamGuard::StreamGuard(const Stream& stream) : device_(stream.device()) {
  make_current(device_);
  previous_ = std::exchange(chosen[static_cast<size_t>(device_)], stream.get());
}

StreamGuard::~StreamGuard() { chosen[static_cast<size_t>(device_)] = previous_; }

void synchronize(int device) {
  refuse_while_capturing("synchronize", "read results (item(), printing) behind the step");
  const cudaStream_t stream = current_stream(device);
  count_sync();
  check("synchronize", api().stream_synchronize(stream));
  throw_index_error(device);
}

int64_t sync_count() { return syncs.load(std::memory_order_relaxed); }
void count_sync() { syncs.fetch_add(1, std::memory_order_relaxed); }

}  // namespace trireme::cuda

namespace trireme {

Cuda current_cuda(int index) { return {cuda::current_stream(index), index}; }

}  // namespace trireme
