// The training loop of trireme-train: the same for every task.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/amp/grad_scaler.h"
#include "core/data/loader.h"
#include "core/optim/optimizer.h"
#include "distributed/communicator.h"
#include "distributed/control_channel.h"
#include "distributed/ddp.h"
#include "launcher/precision.h"
#include "launcher/train_checkpoint.h"
#include "launcher/train_report.h"
#include "launcher/training_task.h"

namespace trireme {

class Trainer {
 public:
  /// Collective: checks and broadcasts the model, resumes if asked to. Everything given must
  /// outlive the trainer.
  Trainer(TrainingTask& task, const TrainOptions& options, const std::string& out,
          Communicator& communicator, TrainReport& report);

  enum class Outcome { kFinished, kStopped };
  /// Trains until options.steps are done or some rank wishes to stop, validates, writes the last
  /// checkpoint and the summary. Throws Error when the gradients stop being finite.
  Outcome run();

 private:
  void step(int64_t step, const Batch& batch);
  Batch next_batch(Loader& loader);
  Tensor forward(const Batch& batch);
  /// Of the gradients as they would be without a loss scale.
  double gradient_norm() const;
  /// Clips and applies the gradients; leaves them out where they overflowed because of the scale.
  void update(double norm, double lr);
  StepAgreement agree(const StepReport& mine);
  double learning_rate(int64_t step) const;
  /// Leaves early, without a result, when some rank wishes to stop.
  void validate(int64_t step);
  void save(int64_t step);
  /// Collective: finds out whose loss or gradients were not finite.
  [[noreturn]] void fail_not_finite(int64_t step, const Batch& batch, double loss_sum);
  double loss_scale() const { return scaler_ ? scaler_->scale() : 1; }
  GradScaler* scaler() { return scaler_ ? &*scaler_ : nullptr; }

  TrainingTask& task_;
  const TrainOptions& options_;
  Communicator& communicator_;
  TrainReport& report_;
  TrainCheckpoints checkpoints_;
  const Shard shard_;
  DistributedDataParallel ddp_;
  std::unique_ptr<Optimizer> optimizer_;
  const Precision precision_;
  std::optional<GradScaler> scaler_;  // where the precision needs one
  StateDict parameters_;
  int64_t first_step_ = 0;
  int64_t saved_step_ = -1;  // of the newest checkpoint that this process has written
  bool stop_ = false;
};

}  // namespace trireme
