// A step of training captured once and replayed with one call: no launch costs, whatever its number
// of kernels.
//
//   const auto step = [&] {
//     const Tensor loss = model.loss(inputs, targets);  // tensors that stay
//     ddp.backward(loss);                               // the all-reduce is part of the graph
//     const GradientNorm g = clip_grad_norm(optimizer.parameters(), 1.0);
//     optimizer.step(g.factor);
//     optimizer.zero_grad();
//     copy_inplace(last_loss, loss.detach());
//     copy_inplace(last_norm, g.norm);
//   };
//   optimizer.keep_schedule_on_device();                // set_lr() then works between replays
//   for (int i = 0; i < 3; ++i) step();                 // as any other steps
//   const auto graph = cuda::capture(device, step);     // runs nothing
//   for (...) {
//     copy_inplace(inputs, batch.inputs);               // and the targets
//     graph->replay();
//     if (loss.is_set()) report(loss.get());            // a DelayedScalar: of the step before
//     loss.set(last_loss);
//   }
//
// What replays is the device's work with the addresses and numbers it was captured with. So the
// step reads its input from tensors that stay and leaves its results in tensors that stay; shapes,
// and numbers that the host passes to kernels (a limit for clipping), are those of the capture; an
// optimizer refuses to be captured before Optimizer::keep_schedule_on_device. The steps before let
// libraries choose algorithms and DistributedDataParallel plan its buckets. Gradients that are
// there when the capture begins would be added to by every replay: begin without. One thread
// captures, and one at a time replays. What cannot be part of it is refused while capturing, with
// the reason: waiting for the device (item(), printing), copies from or to the host, random numbers
// (each replay would draw the same ones), and memory on another stream.
//
// Collectives of the nccl backend: every rank captures the same step and replays it as often, in
// the same place among its other collectives; see distributed/nccl_communicator.h for deadlines. A
// communicator that is closed or has failed ends the graphs it has a part in.
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
  /// replays, whatever stream they went to. Throws CommError where the communicator of collectives
  /// in it has failed or was closed.
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
/// something cannot be captured; nothing has run then, though the host's side of the step has:
/// gradients may count as written, so zero_grad() comes next.
std::unique_ptr<Graph> capture(int device, const std::function<void()>& step);

/// Throws CudaError `what: ... cannot be part of a captured step; ...` if the calling thread is
/// capturing.
void refuse_while_capturing(const char* what, const char* advice);

}  // namespace trireme::cuda
