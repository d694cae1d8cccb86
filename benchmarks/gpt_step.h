// The training step of a GPT that training_step_benchmark times.

#pragma once

#include <cstdint>
#include <memory>

#include "core/amp/grad_scaler.h"
#include "core/models/gpt.h"
#include "core/optim/adam.h"
#include "distributed/ddp.h"
#include "launcher/precision.h"

namespace trireme {

class GptStep {
 public:
  /// The same weights and token ids for the same config and batch. With a communicator gradients
  /// go through DistributedDataParallel; null: trireme::backward alone.
  GptStep(const GptConfig& config, int64_t batch, const Precision& precision, Device device,
          Communicator* communicator);

  /// The parts of a step, in this order. The loss is scaled where the precision wants it.
  Tensor forward();
  void backward(const Tensor& loss);
  void update();

  Tensor operator()() {
    const Tensor loss = forward();
    backward(loss);
    update();
    return loss;
  }

  /// For steps that are captured once and replayed; see Optimizer.
  void keep_schedule_on_device() { optimizer_->keep_schedule_on_device(); }

  Gpt& model() { return model_; }
  /// Requires a communicator.
  DistributedDataParallel& ddp() { return *ddp_; }
  int64_t tokens() const { return inputs_.numel(); }

 private:
  Precision precision_;
  Device device_;
  Generator generator_;
  Gpt model_;
  std::unique_ptr<DistributedDataParallel> ddp_;
  std::unique_ptr<AdamW> optimizer_;
  GradScaler scaler_;
  Tensor inputs_;
};

}  // namespace trireme
