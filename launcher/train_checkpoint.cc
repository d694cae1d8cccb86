#include "launcher/train_checkpoint.h"

#include "core/base/log.h"
#include "core/checkpoint/catalog.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/durable_file.h"
#include "core/checkpoint/load_state.h"
#include "core/optim/master_weights.h"
#include "distributed/control_channel.h"
#include "launcher/rank_zero_work.h"

namespace trireme {
namespace {

constexpr char kScale[] = "grad_scaler.scale";
constexpr char kFiniteSteps[] = "grad_scaler.finite_steps";
constexpr char kSkippedSteps[] = "grad_scaler.skipped_steps";
constexpr char kHasAverages[] = "ema";
constexpr char kAverage[] = "ema.";  // begins the name of each

std::string generator_key(const std::string& name) { return "generator." + name + ".offset"; }

}  // namespace

TrainCheckpoints::TrainCheckpoints(const std::string& out, const TrainOptions& options,
                                   Communicator& communicator)
    : out_(out),
      directory_(checkpoint_directory(out)),
      options_(options),
      communicator_(communicator) {
  if (communicator.rank() != 0) return;
  make_directories(directory_);
  lock_ = lock_directory(directory_);
}

void TrainCheckpoints::save(int64_t step, TrainingTask& task, const Optimizer& optimizer,
                            const TrainSchedule& schedule, const GradScaler* scaler,
                            const ExponentialMovingAverage* ema) {
  // Nobody runs ahead and dies while the files are being written.
  run_on_rank_zero(communicator_, [&] {
    Snapshot snapshot{.step = step,
                      .model = task.model().state_dict(),
                      .optimizer = optimizer.state_dict(),
                      .state = {}};
    if (ema) {
      for (auto& average : ema->state_dict()) snapshot.optimizer.push_back(std::move(average));
    }
    for (const auto& [name, generator] : task.model().named_generators()) {
      snapshot.state.set_int(generator_key(name), static_cast<int64_t>(generator->offset()));
    }
    snapshot.state.set_int("seed", options_.seed);
    snapshot.state.set_int("batch", options_.batch);
    snapshot.state.set_string("data", options_.data);
    snapshot.state.set_int("data.samples", task.training_data()->size());
    snapshot.state.set_string("data.augmentation", task.augmentation());
    snapshot.state.set_string("precision", options_.precision);
    snapshot.state.set_string("architecture", task.architecture());
    schedule.save(snapshot.state);
    if (scaler) {
      snapshot.state.set_double(kScale, scaler->state().scale);
      snapshot.state.set_int(kFiniteSteps, scaler->state().finite_steps);
      snapshot.state.set_int(kSkippedSteps, scaler->state().skipped_steps);
    }
    const std::string path =
        save_checkpoint(directory_, snapshot, static_cast<int>(options_.keep_checkpoints));
    log_info("checkpoint of step ", step, " written to ", path);
  });
}

TrainCheckpoints::Restored TrainCheckpoints::restore(TrainingTask& task, Optimizer& optimizer,
                                                     TrainSchedule& schedule, GradScaler* scaler,
                                                     ExponentialMovingAverage* ema) {
  StateValues values;
  if (communicator_.rank() == 0) {
    if (const auto path = resolve_resume(out_, options_.resume)) {
      try {
        values = load(*path, task, optimizer, ema);
      } catch (const DataError& error) {
        throw DataError(concat(error.what(), "; --resume never starts anew"));
      }
      warn_of_other_data(values, task);
      log_info("resuming from step ", values.get_int("step"), " of ", *path);
    }
  }
  values = StateValues::from_json(broadcast_text(values.to_json(), communicator_), "checkpoint");
  if (!values.has("step")) return {};
  StateDict states = optimizer.state_dict();
  if (values.has(kHasAverages)) {
    for (auto& average : ema->state_dict()) states.push_back(std::move(average));
  }
  for (const auto& [name, moment] : states) {
    Communicator& there = moment.device().is_cpu() ? communicator_.host() : communicator_;
    there.broadcast(moment.raw_data(), moment.nbytes(), 0)->wait();
    moment.bump_version();
  }
  schedule.restore(values);
  if (scaler && values.has(kScale)) {
    scaler->set_state({.scale = values.get_double(kScale),
                       .finite_steps = values.get_int(kFiniteSteps),
                       .skipped_steps = values.get_int(kSkippedSteps)});
  }
  // Ranks draw equally many numbers, so one offset holds for all of them; their seeds differ.
  for (const auto& [name, generator] : task.model().named_generators()) {
    generator->set_offset(static_cast<uint64_t>(values.get_int(generator_key(name))));
  }
  return {.step = values.get_int("step"), .has_averages = values.has(kHasAverages)};
}

StateValues TrainCheckpoints::load(const std::string& path, TrainingTask& task,
                                   Optimizer& optimizer, ExponentialMovingAverage* ema) const {
  Snapshot snapshot = load_checkpoint(path);
  StateDict averages;
  std::erase_if(snapshot.optimizer, [&](const auto& entry) {
    const bool is_average = entry.first.starts_with(kAverage);
    if (is_average) averages.push_back(entry);
    return is_average;
  });
  convert_master_weights(snapshot.model, snapshot.optimizer, optimizer.state_dict());
  load_state(task.model().state_dict(), snapshot.model, Strictness::kExact, path);
  if (snapshot.state.has("architecture")) {
    const std::string before = snapshot.state.get_string("architecture");
    if (before != task.architecture()) {
      throw DataError(concat("resume: the model must be that of the checkpoint, ", before, ", got ",
                             task.architecture(), ", in ", path));
    }
  }
  load_state(optimizer.state_dict(), snapshot.optimizer, Strictness::kExact, path);
  StateValues values = snapshot.state;
  values.set_int("step", snapshot.step);
  if (ema && !averages.empty()) {
    load_state(ema->state_dict(), averages, Strictness::kExact, path);
    values.set_int(kHasAverages, 1);
  } else if (ema) {
    log_warning("resume: ", path, " has no averages of weights; --ema begins with its weights");
  } else if (!averages.empty()) {
    log_warning("resume: the averages of weights in ", path, " are dropped, without --ema");
  }
  return values;
}

// The sequence of samples follows from these alone, so the run goes on with another one. That may
// be meant (a larger batch later on), but it must not go unnoticed.
void TrainCheckpoints::warn_of_other_data(const StateValues& saved,
                                          const TrainingTask& task) const {
  const auto warn = [](const char* what, const auto& before, const auto& now) {
    if (before == now) return;
    log_warning("resume: ", what, " was ", before, " when the checkpoint was written, now it is ",
                now, "; the samples to come are not those of an uninterrupted run");
  };
  if (saved.has("seed")) warn("--seed", saved.get_int("seed"), options_.seed);
  if (saved.has("batch")) warn("--batch", saved.get_int("batch"), options_.batch);
  if (saved.has("precision")) {
    const std::string before = saved.get_string("precision");
    if (before != options_.precision) {
      log_warning("resume: --precision was ", before,
                  " when the checkpoint was written, now it is ", options_.precision,
                  "; the weights go on from it, rounded as this one does");
    }
  }
  if (saved.has("data")) warn("--data", saved.get_string("data"), options_.data);
  if (saved.has("data.augmentation")) {
    warn("the order or change of samples", saved.get_string("data.augmentation"),
         task.augmentation());
  }
  if (saved.has("data.samples")) {
    warn("the number of training samples", saved.get_int("data.samples"),
         task.training_data()->size());
  }
}

}  // namespace trireme
