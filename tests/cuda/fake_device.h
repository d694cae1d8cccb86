// A CUDA device of the tests' own: host memory behind a pool of limited size, streams that run what
// is queued at once, events that count. It stands behind core/cuda/api.h for a test's length, so
// the whole library runs on a machine without a GPU, as far as kernels are not looked at: a launch
// is counted, its kernel does not run.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/cuda/api.h"

namespace trireme::testing {

/// What the fake device has seen, and how it behaves. One per process; begin() clears it.
struct FakeDevice {
  int devices = 1;
  int64_t memory_bytes = int64_t{1} << 30;
  bool events_are_done = true;                 // what event_query says
  std::function<void()> on_event_synchronize;  // called where the host waits for an event

  // Answers for entry points, by name, instead of success; removed after the first answer.
  std::map<std::string, cudaError_t> fail_next;
  // How often each entry point was called.
  std::map<std::string, int> calls;

  std::map<void*, size_t> blocks;          // live device memory
  std::map<void*, cudaStream_t> freed_on;  // stream of the last free of a block
  int64_t used_bytes = 0;
  std::set<cudaStream_t> streams;
  std::set<cudaEvent_t> events;
  std::set<cudaStream_t> capturing;
  std::vector<std::string> order;  // "record 3 on 1", "wait 3 on 2"
  int64_t graph_nodes = 1;
  // Work recorded on capturing streams, and what graphs replay.
  using Work = std::vector<std::function<void()>>;
  std::map<cudaStream_t, Work> recorded;
  std::map<cudaGraph_t, Work> graphs;
  std::map<cudaGraphExec_t, Work> execs;

  int call_count(const std::string& name) const {
    const auto it = calls.find(name);
    return it == calls.end() ? 0 : it->second;
  }
};

FakeDevice& fake();

/// Puts the fake device behind the library while it lives.
class FakeDeviceGuard {
 public:
  FakeDeviceGuard();
  ~FakeDeviceGuard();

 private:
  cuda::ScopedApi api_;
};

/// The device's work: done at once, or at each replay if the stream is being captured.
void enqueue(cudaStream_t stream, std::function<void()> work);

/// The name under which a stream or event appears in FakeDevice::order.
int number_of(const void* handle);

}  // namespace trireme::testing
