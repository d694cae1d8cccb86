// What the driver holds of a captured step, shared by its Graph and by those whose work is part of
// the step.
//
// NCCL keeps a communicator, even an aborted one, until the last graph with its collectives is
// destroyed. So whoever ends a communicator ends these graphs first, whoever owns them, and
// whoever owns them is told when it replays one.

#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>
#include <vector>

namespace trireme::cuda {

/// Somebody whose work is part of a captured step and who must know of its replays. Called on the
/// thread that replays.
class ReplayListener {
 public:
  virtual ~ReplayListener() = default;
  /// Ahead of the step on the stream it is replayed on. What this throws, replay() throws, and
  /// nothing is replayed.
  virtual void before_replay(cudaStream_t stream) = 0;
  /// Behind it; also if the driver has refused the replay.
  virtual void after_replay(cudaStream_t stream) noexcept = 0;
};

/// Threads: any.
class GraphExec {
 public:
  GraphExec() = default;
  ~GraphExec() { end(); }
  GraphExec(const GraphExec&) = delete;

  /// While the step is captured. The listener lives as long as this.
  void listen(std::shared_ptr<ReplayListener> listener);
  /// Does nothing after end().
  cudaError_t instantiate(cudaGraph_t recorded);
  /// Queues one replay. Throws CudaError where it was refused or end() has been called.
  void launch(cudaStream_t stream);
  /// From now on there are no replays; the driver frees the graph behind those that are queued.
  /// Waits for a launch() in progress.
  void end() noexcept;

 private:
  std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<std::shared_ptr<ReplayListener>> listeners_;
  cudaGraphExec_t exec_ = nullptr;
  bool has_ended_ = false;
};

/// Of the step that the calling thread is capturing, or null.
std::shared_ptr<GraphExec>& captured_exec();

}  // namespace trireme::cuda
