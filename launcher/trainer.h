// The training loop of trireme-train: the same for every task.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/amp/grad_scaler.h"
#include "core/data/loader.h"
#include "core/optim/ema.h"
#include "core/optim/optimizer.h"
#include "core/tensor/transfer.h"
#include "distributed/communicator.h"
#include "distributed/control_channel.h"
#include "distributed/ddp.h"
#include "launcher/precision.h"
#include "launcher/step_graph.h"
#include "launcher/train_checkpoint.h"
#include "launcher/train_report.h"
#include "launcher/training_task.h"

namespace trireme {

/// On a GPU the host runs a step ahead: while the device computes step n, the host queues step n +
/// 1 and only then reads loss and gradient norm of step n, so that the device never waits for it.
/// What is reported, a stop that was asked for, and a change of the loss scale (f16) are therefore
/// a step late there. Gradients that are not finite change no parameter, however late the host sees
/// them.
class Trainer {
 public:
  /// Collective: moves the model to the communicator's device, checks and broadcasts it, resumes if
  /// asked to. Everything given must outlive the trainer.
  Trainer(TrainingTask& task, const TrainOptions& options, const std::string& out,
          Communicator& communicator, TrainReport& report);

  enum class Outcome { kFinished, kStopped };
  /// Trains until options.steps are done or some rank wishes to stop, validates, writes the last
  /// checkpoint and the summary. Throws Error when the gradients stop being finite.
  Outcome run();

 private:
  /// A step that has been queued, and what is read of it later.
  struct QueuedStep {
    int64_t step = 0;  // from 0
    Batch batch;
    double lr = 0;
    double loss_scale = 1;
    std::vector<DelayedScalar> losses = {};  // means over the micro-batches
    DelayedScalar norm = {};                 // of the gradients without loss scale
    StepAgreement all = {};                  // from agree() on
  };

  void step(int64_t step, Loader& loader);
  Batch next_batch(Loader& loader);
  int loader_threads() const;
  Tensor forward(const Batch& batch);
  /// The losses of the micro-batches.
  std::vector<Tensor> forward_backward(const Batch& batch);
  /// Clips and applies the gradients, where all are finite; returns their norm. They were computed
  /// with `loss_scale`, which may have changed since.
  Tensor update(double loss_scale);
  /// Both at once, as a graph.
  void replay(QueuedStep& now);
  /// Collective: reads the step's numbers, shares them and the wish to stop.
  void agree(QueuedStep& step);
  void report(const QueuedStep& step);
  /// Reads and reports the step that is still under way, if there is one. Collective.
  void drain();
  /// Calls fn() while the model has its averaged weights, if --ema keeps some.
  template <typename Fn>
  void with_averages(const Fn& fn);
  /// Leaves early, without a result, when some rank wishes to stop.
  void validate(int64_t step);
  void evaluate(int64_t step);
  void save(int64_t step);
  /// Collective: finds out whose loss or gradients were not finite.
  [[noreturn]] void fail_not_finite(const QueuedStep& step);
  double loss_scale() const { return scaler_ ? scaler_->scale() : 1; }
  bool reads_late() const { return !device_.is_cpu(); }
  GradScaler* scaler() { return scaler_ ? &*scaler_ : nullptr; }

  TrainingTask& task_;
  const TrainOptions& options_;
  Communicator& communicator_;
  const Device device_;
  TrainReport& report_;
  TrainCheckpoints checkpoints_;
  const Shard shard_;
  DistributedDataParallel ddp_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainSchedule schedule_;
  const Precision precision_;
  std::optional<GradScaler> scaler_;  // where the precision needs one
  StateDict parameters_;
  std::optional<ExponentialMovingAverage> ema_;  // with --ema
  std::optional<StepGraph> graph_;               // with --cuda-graph
  std::optional<QueuedStep> queued_;             // not read yet
  int64_t first_step_ = 0;
  int64_t saved_step_ = -1;  // of the newest checkpoint that this process has written
  bool stop_ = false;
};

}  // namespace trireme
