#include "launcher/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/amp/autocast.h"
#include "core/autograd/backward.h"
#include "core/base/log.h"
#include "core/base/parallel_for.h"
#include "core/base/settings.h"
#include "core/data/loader.h"
#include "core/ops/ops.h"
#include "core/optim/clip.h"
#include "distributed/finite_check.h"
#include "distributed/replica_check.h"
#include "launcher/rank_setup.h"
#include "launcher/rank_zero_work.h"
#include "launcher/stop_wish.h"

namespace trireme {
namespace {

// In validation ranks ask each other this often whether somebody wishes to stop.
constexpr int64_t kBatchesBetweenLooks = 4;
// Gradients that overflow even without a scale are at fault themselves.
constexpr double kSmallestScale = 1;

ReducerOptions reducer_options(const TrainOptions& o) {
  ReducerOptions options;
  const int64_t mb = o.bucket_mb > 0 ? o.bucket_mb : get_setting_int("TRIREME_BUCKET_MB");
  options.sizes.cap_bytes = mb << 20;
  return options;
}

// The batch's `count` micro-batches: equal slices of the rank's samples.
std::vector<Batch> micro_batches(const Batch& batch, int64_t count) {
  if (count == 1) return {batch};
  const int64_t each = batch.samples / count;
  std::vector<Batch> parts;
  for (int64_t i = 0; i < count; ++i) {
    parts.push_back({.inputs = slice(batch.inputs, 0, i * each, (i + 1) * each),
                     .targets = slice(batch.targets, 0, i * each, (i + 1) * each),
                     .samples = each,
                     .tokens = batch.tokens / count});
  }
  return parts;
}

Batch moved_to(Device device, Batch batch) {
  if (batch.samples == 0) return batch;
  batch.inputs = to_device(batch.inputs, device);
  batch.targets = to_device(batch.targets, device);
  return batch;
}

// Before the members that hold on to the parameters.
Module& moved_to(Device device, Module& model) {
  model.to(device);
  return model;
}

// Over the rank's samples, from the means of micro-batches of equal size.
double loss_sum(const Batch& batch, const std::vector<DelayedScalar>& losses) {
  double sum = 0;
  for (const DelayedScalar& loss : losses) sum += loss.get();
  return sum * static_cast<double>(batch.samples) / static_cast<double>(losses.size());
}

// Every rank reads the data by itself. Files that differ would give other samplers, or other
// numbers of batches, and that would be noticed late or never.
void require_same_data(const TrainingTask& task, Communicator& communicator) {
  require_same_on_all_ranks("training data",
                            {concat(task.training_data()->size(), " samples to train"),
                             concat(task.validation_data()->size(), " samples to validate")},
                            communicator);
}

// Dropout draws other numbers on every rank; on rank 0 the same as without ranks.
void reseed_generators(Module& model, int rank) {
  for (const auto& [name, generator] : model.named_generators()) {
    if (rank > 0) *generator = Generator(Generator(generator->seed() + rank).next_u64());
  }
}

}  // namespace

Trainer::Trainer(TrainingTask& task, const TrainOptions& options, const std::string& out,
                 Communicator& communicator, TrainReport& report)
    : task_(task),
      options_(options),
      communicator_(communicator),
      device_(communicator.device()),
      report_(report),
      checkpoints_(out, options, communicator),
      shard_{communicator.rank(), communicator.world_size()},
      ddp_(moved_to(device_, task.model()), communicator, reducer_options(options)),
      optimizer_(make_optimizer(options, task.model().named_parameters())),
      schedule_(options),
      precision_(parse_precision(options.precision)),
      scaler_(precision_.scales_loss ? std::optional<GradScaler>(std::in_place) : std::nullopt),
      parameters_(optimizer_->parameters()) {
  require_same_data(task, communicator);
  reseed_generators(task.model(), communicator.rank());
  const auto start_averages = [&] {
    if (options.ema > 0) ema_.emplace(task.model().state_dict(), EmaOptions{options.ema, true});
  };
  start_averages();
  const TrainCheckpoints::Restored restored =
      checkpoints_.restore(task, *optimizer_, schedule_, scaler(), ema_ ? &*ema_ : nullptr);
  first_step_ = restored.step;
  // The device counts its updates where the host does not know in time whether one is left out, and
  // where it repeats what was captured.
  const bool replays = options.cuda_graph && !device_.is_cpu();
  if (replays || (scaler_ && !device_.is_cpu())) optimizer_->keep_schedule_on_device();
  if (replays) {
    graph_.emplace(device_, [this](const Batch& batch) {
      StepResults results{.losses = forward_backward(batch), .norm = update(loss_scale())};
      optimizer_->zero_grad();
      return results;
    });
  }
  // Rank 0 alone may have loaded something.
  ddp_.broadcast_parameters();
  ddp_.broadcast_buffers();
  if (!restored.has_averages) start_averages();
  ddp_.accumulate(static_cast<int>(options.accumulate));
}

Trainer::Outcome Trainer::run() {
  report_.start(first_step_, options_.steps);
  Loader loader(
      task_.training_data(),
      task_.training_sampler(options_.batch, static_cast<uint64_t>(options_.seed), shard_),
      {.first_step = first_step_, .threads = loader_threads()});
  const auto is_due = [](int64_t every, int64_t step) { return every > 0 && step % every == 0; };
  int64_t done = first_step_;
  while (done < options_.steps && !stop_) {
    if (done == first_step_ && options_.eval_every > 0) validate(done);
    if (stop_) break;
    step(done, loader);
    ++done;
    if (is_due(options_.check_replicas_every, done)) ddp_.check_replicas();
    if (is_due(options_.eval_every, done) && done < options_.steps) validate(done);
    if (is_due(options_.checkpoint_every, done) || done == options_.steps) save(done);
  }
  drain();
  if (!stop_) validate(done);
  if (stop_ && saved_step_ != done) save(done);
  // A run that was stopped in its last validation gets its summary when it is run again.
  if (!stop_ || done < options_.steps) report_.finish(done);
  if (!stop_) {
    run_on_rank_zero(communicator_, [&, threads = num_threads()] {
      set_num_threads(threads);  // of the thread that this runs in
      const Autocast autocast(precision_.autocast);
      with_averages([&] { report_.show_sample(task_.sample()); });
    });
  }
  communicator_.barrier();
  return stop_ ? Outcome::kStopped : Outcome::kFinished;
}

void Trainer::step(int64_t step, Loader& loader) {
  report_.step_begins();
  QueuedStep now{.step = step,
                 .batch = next_batch(loader),
                 .lr = schedule_.at(step),
                 .loss_scale = loss_scale()};
  optimizer_->set_lr(now.lr);
  if (graph_) {
    replay(now);
  } else {
    for (const Tensor& loss : forward_backward(now.batch)) now.losses.emplace_back().set(loss);
  }
  report_.backward_done();
  std::optional<QueuedStep> before = std::exchange(queued_, std::nullopt);
  if (before) agree(*before);
  if (!graph_) now.norm.set(update(now.loss_scale));
  if (ema_) ema_->update();
  if (reads_late()) {
    if (before) report(*before);
    queued_ = std::move(now);
  } else {
    agree(now);
    report(now);
  }
  optimizer_->zero_grad();
}

int Trainer::loader_threads() const {
  return choose_loader_threads(options_.loader_threads, device_);
}

std::vector<Tensor> Trainer::forward_backward(const Batch& batch) {
  std::vector<Tensor> losses;
  for (const Batch& part : micro_batches(batch, options_.accumulate)) {
    const Tensor loss = forward(part);
    losses.push_back(loss.detach());
    const auto scope = report_.phase(Phase::kBackward);
    ddp_.backward(scaler_ ? scaler_->scaled(loss) : loss);
  }
  return losses;
}

void Trainer::replay(QueuedStep& now) {
  const auto scope = report_.phase(Phase::kForward);
  const bool was_captured = graph_->num_nodes() > 0;
  const StepResults results = graph_->run(now.batch, now.loss_scale);
  if (!was_captured && graph_->num_nodes() > 0 && communicator_.rank() == 0) {
    log_info("step ", now.step + 1, " captured: ", graph_->num_nodes(),
             " kernels and copies, replayed from now on");
  }
  for (const Tensor& loss : results.losses) now.losses.emplace_back().set(loss);
  now.norm.set(results.norm);
}

Batch Trainer::next_batch(Loader& loader) {
  const auto scope = report_.phase(Phase::kDataWait);
  return moved_to(device_, *loader.next());  // the samplers of training have no end
}

Tensor Trainer::forward(const Batch& batch) {
  const auto scope = report_.phase(Phase::kForward);
  const Autocast autocast(precision_.autocast);
  return task_.loss(batch);
}

Tensor Trainer::update(double loss_scale) {
  const auto scope = report_.phase(Phase::kOptimizer);
  const GradientNorm g = clip_grad_norm(parameters_, options_.clip, loss_scale);
  if (options_.clip_value > 0) clip_grad_value(parameters_, options_.clip_value * loss_scale);
  optimizer_->step(g.factor);
  return g.norm;
}

void Trainer::agree(QueuedStep& step) {
  {
    const auto scope = report_.phase(Phase::kDeviceWait);
    step.norm.get();  // the last that the step computes for the host
  }
  const auto scope = report_.phase(Phase::kCommExposed);
  // The averages are the same on every rank, so all of them decide alike. An overflow says nothing
  // of the run as long as a smaller scale may avoid it.
  const bool finite = std::isfinite(step.norm.get());
  if (!finite && step.loss_scale <= kSmallestScale) fail_not_finite(step);
  const StepAgreement all = agree_on_step({.loss_sum = loss_sum(step.batch, step.losses),
                                           .samples = step.batch.samples,
                                           .tokens = step.batch.tokens,
                                           .is_finite = finite,
                                           .wants_stop = stop_wished()},
                                          communicator_);
  if (scaler_) scaler_->update(all.is_finite);
  stop_ = all.stop;
  step.all = all;
}

void Trainer::report(const QueuedStep& step) {
  report_.step_done({.step = step.step + 1,
                     .loss = step.all.mean_loss,
                     .lr = step.lr,
                     .grad_norm = step.norm.get(),
                     .loss_scale = scaler_ ? std::optional(step.loss_scale) : std::nullopt,
                     .skipped_steps = scaler_ ? scaler_->state().skipped_steps : 0,
                     .samples = step.all.samples,
                     .tokens = step.all.tokens,
                     .local_samples = step.batch.samples,
                     .local_tokens = step.batch.tokens});
}

void Trainer::drain() {
  std::optional<QueuedStep> last = std::exchange(queued_, std::nullopt);
  if (!last) return;
  report_.step_begins();
  agree(*last);
  report(*last);
}

template <typename Fn>
void Trainer::with_averages(const Fn& fn) {
  if (!ema_) return fn();
  const auto averaged = ema_->apply();
  fn();
}

void Trainer::validate(int64_t step) {
  drain();
  if (!stop_) with_averages([&] { evaluate(step); });
}

void Trainer::evaluate(int64_t step) {
  const auto scope = report_.phase(Phase::kEval);
  const std::shared_ptr<const Dataset> data = task_.validation_data();
  // A classifier's last accuracy is what people quote: it is of all images.
  const bool all = options_.eval_batches == 0 || (task_.is_classifier() && step == options_.steps);
  const int64_t samples =
      all ? data->pass_size() : std::min(options_.eval_batches * options_.batch, data->pass_size());
  // Running statistics differ between ranks: what is judged is what would be saved, rank 0's.
  ddp_.broadcast_buffers();
  const auto sampler = std::make_shared<EvenSampler>(data->size(), samples, options_.batch, shard_);
  Loader loader(data, sampler, {.threads = loader_threads(), .augment = false});
  task_.model().eval();
  double sums[3] = {};  // loss, correct, samples
  for (int64_t i = 0; i < sampler->steps() && !stop_; ++i) {
    if (i % kBatchesBetweenLooks == kBatchesBetweenLooks - 1) {
      stop_ = agree_on_step({.wants_stop = stop_wished()}, communicator_).stop;
    }
    const Batch batch = moved_to(device_, *loader.next());
    if (batch.samples == 0) continue;
    const Autocast autocast(precision_.autocast);
    const TrainingTask::Evaluation e = task_.evaluate(batch);
    sums[0] += e.loss_sum;
    sums[1] += static_cast<double>(e.correct);
    sums[2] += static_cast<double>(batch.samples);
  }
  task_.model().train();
  if (stop_) return;
  communicator_.host().all_reduce(sums, 3, DType::kF64, ReduceOp::kSum)->wait();
  const std::optional<double> accuracy =
      task_.is_classifier() ? std::optional(sums[1] / sums[2]) : std::nullopt;
  schedule_.validated(step, sums[0] / sums[2]);
  report_.validated({.step = step,
                     .loss = sums[0] / sums[2],
                     .accuracy = accuracy,
                     .samples = samples,
                     .available = data->pass_size()});
}

void Trainer::save(int64_t step) {
  drain();
  const auto scope = report_.phase(Phase::kCheckpoint);
  checkpoints_.save(step, task_, *optimizer_, schedule_, scaler(), ema_ ? &*ema_ : nullptr);
  saved_step_ = step;
  report_.checkpointed(step);
}

void Trainer::fail_not_finite(const QueuedStep& failed) {
  const std::vector<Batch> parts = micro_batches(failed.batch, options_.accumulate);
  // The gradients are those of the next step by now, or infinite ones were clipped.
  if (reads_late() || options_.clip_value > 0) {
    optimizer_->zero_grad();
    for (const Batch& part : parts) ddp_.backward(forward(part));
  }
  const std::string first = first_not_finite(parameters_);
  std::string ranks = ranks_not_finite(
      loss_sum(failed.batch, failed.losses), parameters_,
      [&] {
        const auto local = ddp_.no_sync();
        for (const Batch& part : parts) backward(forward(part));
      },
      communicator_);
  if (ranks.empty()) ranks = "no rank alone, only the average";
  // With dropout, gradients that are computed again may be finite: other numbers were drawn.
  const std::string where = first.empty() ? "" : ", first in parameter " + first;
  throw Error(concat("training: gradients are not finite at step ", failed.step + 1, where,
                     "; at fault: ", ranks, "; lower --lr, raise --warmup, or look at the data"));
}

}  // namespace trireme
