// A machine with several GPUs of the tests' own, behind core/cuda/api.h: streams run beside the
// host, each on a thread, so that what is ordered by events is seen to be, and what is not may race
// (under ThreadSanitizer it does). Device memory is host memory. Kernels do not run, they are
// counted. Streams can be captured; a graph's work then runs at each replay, ordered as captured.
//
// One per process, for its whole life: the library keeps streams for as long. Threads: any.

#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/cuda/api.h"

namespace trireme::testing {

inline constexpr int kFakeGpus = 8;

class FakeGpus {
 public:
  /// The machine; the first call puts it in force.
  static FakeGpus& get();

  /// Queues `work` on a stream as a kernel would be: on one that is captured, for each replay.
  void run_on(cudaStream_t stream, std::function<void()> work);
  bool is_capturing(cudaStream_t stream) const;
  /// What a kernel does here, given its arguments: nothing, unless a test knows its kernels. Called
  /// by the launch; returns the work to queue, or nothing.
  using Kernel = std::function<std::function<void()>(void** arguments)>;
  void set_kernel(Kernel kernel);
  /// True for an address in device memory.
  bool is_device_memory(const void* data) const;
  /// Appends to the log: what happens, in the order in which it does, on the host and on streams.
  void log(const std::string& line);
  std::vector<std::string> take_log();
  std::vector<std::string> peek_log() const;

  /// From now on the entry point answers `status`, once. One failure per name.
  void fail_next(const std::string& entry_point, cudaError_t status);
  void set_visible(int gpus);
  /// Lets two indices be one physical GPU: its UUID is that of `same_as`.
  void alias_gpu(int gpu, int same_as);
  /// Forgets failures, aliases, counts and the log.
  void reset();

  int kernels() const;      // launched since reset()
  int live_blocks() const;  // device memory in use or cached
  int memsets() const;
  int host_waits() const;  // stream_synchronize and event_synchronize

  struct State;
  State& state() { return *state_; }

 private:
  FakeGpus();
  State* state_;
  const cuda::ScopedApi* in_force_;  // like the state: for ever
};

}  // namespace trireme::testing
