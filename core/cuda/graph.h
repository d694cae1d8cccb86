// A step of training captured once and replayed with one call: no launch costs, whatever its number
// of kernels.
//
//   optimizer.keep_schedule_on_device();            // so that set_lr() works between replays
//   for (int i = 0; i < 3; ++i) step();             // libraries choose algorithms, memory is there
//   const auto graph = cuda::capture(device, step);
//   for (...) { copy_inplace(input, batch); graph->replay(); loss.set(step_loss); }
//
// What replays is the device's work with the addresses and numbers it was captured with. So the
// step reads its input from tensors that stay and leaves its results in tensors that stay; shapes,
// and numbers that the host passes to kernels (a limit for clipping), are those of the capture; an
// optimizer refuses to be captured before Optimizer::keep_schedule_on_device. One thread captures,
// and one at a time replays. What cannot be part of it is refused while capturing, with the reason:
// waiting for the device (item(), printing), copies from or to the host, random numbers (each
// replay would draw the same ones), and memory on another stream.
//
// In every build; a build without CUDA has none of its functions and no device to call them for.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace trireme::cuda {

/// Keeps the memory that the step worked in, and the results in it, as long as it or they live.
class Graph {
 public:
  ~Graph();
  Graph(const Graph&) = delete;

  /// Queues the whole step on the calling thread's current stream of the device; behind earlier
  /// replays, whatever stream they went to.
  void replay();
  /// Kernels, copies and the like of one replay.
  int64_t num_nodes() const;

 private:
  friend std::unique_ptr<Graph> capture(int device, const std::function<void()>& step);
  struct State;
  explicit Graph(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Runs `step` once, recording instead of executing what it queues on the current stream of
/// `device` and on streams that wait for it. Throws CudaError `capture: ...` with the reason where
/// something cannot be captured; nothing has run then, though the host's side of the step has.
std::unique_ptr<Graph> capture(int device, const std::function<void()>& step);

/// Throws CudaError `what: ... cannot be part of a captured step; ...` if the calling thread is
/// capturing.
void refuse_while_capturing(const char* what, const char* advice);

}  // namespace trireme::cuda
