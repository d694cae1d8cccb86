// Checkpoints of trireme-train: rank 0 reads and writes, the others receive.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/amp/grad_scaler.h"
#include "core/checkpoint/directory_lock.h"
#include "core/checkpoint/state_values.h"
#include "core/optim/ema.h"
#include "core/optim/optimizer.h"
#include "distributed/communicator.h"
#include "launcher/train_optimizer.h"
#include "launcher/training_task.h"

namespace trireme {

/// The checkpoints of one run. Used by the training thread.
class TrainCheckpoints {
 public:
  /// `out`: the run directory, which rank 0 locks until the end: IoError if another run writes
  /// there. `options` and `communicator` must outlive this.
  TrainCheckpoints(const std::string& out, const TrainOptions& options, Communicator& communicator);

  /// Collective. Rank 0 writes model, optimizer, schedule, position, random generators and what the
  /// order of the data follows from to <out>/checkpoints/step-N; the others wait for it. `scaler`
  /// and `ema`, whose averages stand beside the optimizer's state, may be null.
  void save(int64_t step, TrainingTask& task, const Optimizer& optimizer,
            const TrainSchedule& schedule, const GradScaler* scaler,
            const ExponentialMovingAverage* ema);

  struct Restored {
    int64_t step = 0;  // done; 0 without a checkpoint
    bool has_averages = false;
  };

  /// Collective. Rank 0 finds the checkpoint that options.resume means (catalog.h) and loads it;
  /// optimizer state and position are sent to the other ranks, the model's parameters are not,
  /// because DistributedDataParallel does that. Warns when the data will come in another order than
  /// before. A checkpoint of another --precision is converted; its loss scale is kept if both have
  /// one, and so are averages of weights. Where no averages were restored, and `ema` is given, the
  /// caller starts them anew once all ranks have the weights.
  Restored restore(TrainingTask& task, Optimizer& optimizer, TrainSchedule& schedule,
                   GradScaler* scaler, ExponentialMovingAverage* ema);

 private:
  StateValues load(const std::string& path, TrainingTask& task, Optimizer& optimizer,
                   ExponentialMovingAverage* ema) const;
  void warn_of_other_data(const StateValues& saved, const TrainingTask& task) const;

  const std::string out_;
  const std::string directory_;
  std::shared_ptr<const DirectoryLock> lock_;  // rank 0 only
  const TrainOptions& options_;
  Communicator& communicator_;
};

}  // namespace trireme
