// A training step of a GPU, captured once and then replayed: trireme-train --cuda-graph.

#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/cuda/graph.h"
#include "core/data/dataset.h"
#include "core/tensor/tensor.h"

namespace trireme {

/// What a step leaves on its device for the host to read.
struct StepResults {
  std::vector<Tensor> losses;  // of each micro-batch
  Tensor norm;                 // of the gradients without loss scale
};

/// The first steps run one kernel after the other: libraries choose their algorithms, and
/// DistributedDataParallel its buckets. The next one is captured (core/cuda/graph.h) and replayed
/// from then on. What the host passes to kernels stays as it was captured; so the step is captured
/// anew when the loss scale changes, and a batch of another shape runs by itself.
class StepGraph {
 public:
  /// Everything that the device does in a step: forward, backward, clipping, optimizer (with its
  /// schedule on the device), zero_grad.
  using Step = std::function<StepResults(const Batch& batch)>;

  StepGraph(Device device, Step step) : device_(device), step_(std::move(step)) {}

  /// Queues the step for `batch`, which lies on the device. The results hold until the next call.
  /// Throws CudaError where something in the step cannot be captured.
  StepResults run(const Batch& batch, double loss_scale);
  /// Kernels, copies and the like of one replay; 0 before the capture.
  int64_t num_nodes() const;

 private:
  static constexpr int kWarmUpSteps = 3;

  void capture(const Batch& batch, double loss_scale);
  bool fits(const Batch& batch) const;

  const Device device_;
  const Step step_;
  int steps_ = 0;
  double loss_scale_ = 1;               // of the capture
  Batch batch_;                         // what the captured step reads
  StepResults results_;                 // what it writes
  std::shared_ptr<cuda::Graph> graph_;  // whose destructor a build without CUDA does not have
};

}  // namespace trireme
