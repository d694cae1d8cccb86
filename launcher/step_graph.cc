#include "launcher/step_graph.h"

#include "core/base/config.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"

namespace trireme {
namespace {

bool is_alike(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype();
}

}  // namespace

bool StepGraph::fits(const Batch& batch) const {
  return batch.samples == batch_.samples && is_alike(batch.inputs, batch_.inputs) &&
         is_alike(batch.targets, batch_.targets);
}

void StepGraph::capture(const Batch& batch, double loss_scale) {
  if (!graph_) {
    batch_ = batch;
    batch_.inputs = empty_like(batch.inputs);
    batch_.targets = empty_like(batch.targets);
  }
  graph_ = nullptr;  // gives its memory to the next one
  results_ = {};
  if constexpr (kHasCuda) {
    graph_ = cuda::capture(device_.index, [&] { results_ = step_(batch_); });
  }
  loss_scale_ = loss_scale;
}

StepResults StepGraph::run(const Batch& batch, double loss_scale) {
  if (steps_++ < kWarmUpSteps || (graph_ && !fits(batch))) return step_(batch);
  if (!graph_ || loss_scale != loss_scale_) capture(batch, loss_scale);
  copy_inplace(batch_.inputs, batch.inputs);
  copy_inplace(batch_.targets, batch.targets);
  if constexpr (kHasCuda) graph_->replay();
  return results_;
}

int64_t StepGraph::num_nodes() const {
  if constexpr (kHasCuda) return graph_ ? graph_->num_nodes() : 0;
  return 0;
}

}  // namespace trireme
