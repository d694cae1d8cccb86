#include "benchmarks/gpt_step.h"

#include <vector>

#include "core/amp/autocast.h"
#include "core/autograd/backward.h"
#include "core/tensor/create.h"

namespace trireme {

GptStep::GptStep(const GptConfig& config, int64_t batch, const Precision& precision, Device device,
                 Communicator* communicator)
    : precision_(precision),
      device_(device),
      generator_(1),
      model_(config, generator_, {precision.parameters}) {
  model_.to(device);
  if (communicator) ddp_ = std::make_unique<DistributedDataParallel>(model_, *communicator);
  optimizer_ =
      std::make_unique<AdamW>(decay_matrices_only(model_.named_parameters(), 0.1), AdamOptions{});
  std::vector<int64_t> ids(static_cast<size_t>(batch * config.context));
  for (int64_t& id : ids) {
    id = static_cast<int64_t>(generator_.next_below(static_cast<uint64_t>(config.vocab_size)));
  }
  inputs_ = from_vector(ids, {batch, config.context}, device);
}

Tensor GptStep::forward() {
  const Autocast autocast(precision_.autocast);
  const Tensor mean = model_.loss(inputs_, inputs_);
  return precision_.scales_loss ? scaler_.scaled(mean) : mean;
}

void GptStep::backward(const Tensor& loss) {
  if (ddp_) {
    ddp_->backward(loss);
  } else {
    trireme::backward(loss);
  }
}

void GptStep::update() {
  optimizer_->step(precision_.scales_loss ? full({}, 1 / scaler_.scale(), {DType::kF64, device_})
                                          : Tensor());
  optimizer_->zero_grad();
}

}  // namespace trireme
