#include <array>
#include <mutex>
#include <vector>

#include "core/cuda/api.h"
#include "core/cuda/check.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "core/cuda/index_error.h"
#include "core/cuda/stream.h"

namespace trireme::cuda {
namespace {

// Events of a device that nobody uses. An event may be recorded again while waits for its former
// point are still queued: a wait refers to what was recorded when it was queued.
struct Pool {
  std::mutex mutex;
  std::vector<cudaEvent_t> free;  // guarded by mutex
};

Pool& pool_of(int device) {
  static auto* const pools = new std::array<Pool, kMaxDevices>;  // events may die after main
  return pools->at(static_cast<size_t>(device));
}

cudaEvent_t take(int device) {
  Pool& pool = pool_of(device);
  {
    std::lock_guard lock(pool.mutex);
    if (!pool.free.empty()) {
      const cudaEvent_t event = pool.free.back();
      pool.free.pop_back();
      return event;
    }
  }
  cudaEvent_t event = nullptr;
  check("event", api().event_create_with_flags(&event, cudaEventDisableTiming));
  return event;
}

}  // namespace

Event::Event(int device) : device_(device) {
  make_current(device);
  event_ = take(device);
}

Event::~Event() {
  Pool& pool = pool_of(device_);
  std::lock_guard lock(pool.mutex);
  pool.free.push_back(event_);
}

void Event::record(cudaStream_t stream) { check("event", api().event_record(event_, stream)); }

void Event::make_wait(cudaStream_t stream) const {
  check("event", api().stream_wait_event(stream, event_, 0));
}

bool Event::is_done() const {
  const cudaError_t status = api().event_query(event_);
  if (status == cudaErrorNotReady) {
    api().get_last_error();
    return false;
  }
  check("event", status);
  return true;
}

void Event::synchronize() const {
  refuse_while_capturing("event", "wait for events behind the step");
  count_sync();
  check("event", api().event_synchronize(event_));
  throw_index_error(device_);
}

}  // namespace trireme::cuda
