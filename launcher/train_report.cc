#include "launcher/train_report.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <utility>
#include <vector>

#include "core/base/log.h"
#include "core/base/settings.h"
#include "core/checkpoint/catalog.h"
#include "core/tensor/allocator.h"
#include "distributed/host_name.h"

namespace trireme {

static_assert(kMemoryKindsReported == kMemoryKinds);

TrainReport::TrainReport(const ReportOptions& options, const RankEnv& env,
                         Communicator& communicator)
    : options_(options), env_(env), communicator_(communicator) {
  if (somebody_serves()) open_page();
  stats().world_size = env.world_size;
  timer_.emplace(stats());
  if (env.rank != 0) return;
  progress_ = std::make_unique<ProgressReporter>();
  try {
    jsonl_ = std::make_unique<JsonlSink>(options.out + "/metrics.jsonl");
  } catch (const IoError& error) {
    throw IoError(concat(error.what(), "; choose another folder with --out"));
  }
}

bool TrainReport::somebody_serves() {
  if (wants_exporter_process() && env_.local_rank == 0) {
    exporter_ = start_exporter_process({.run_id = options_.run_id});
    if (exporter_ && env_.rank == 0) log_info("metrics ", exporter_->url());
  }
  struct Server {
    uint64_t node = 0;
    int64_t is_there = 0;
  };
  const Server mine{std::hash<std::string>()(host_name()), exporter_ != nullptr};
  std::vector<Server> all(static_cast<size_t>(env_.world_size));
  communicator_.host().all_gather(&mine, all.data(), sizeof mine)->wait();
  if (get_setting("TRIREME_METRICS") == "launcher") return true;
  return std::ranges::any_of(
      all, [&](const Server& one) { return one.node == mine.node && one.is_there; });
}

void TrainReport::open_page() {
  try {
    page_ = std::make_unique<StatsPage>(RankInfo{.run_id = options_.run_id,
                                                 .rank = env_.rank,
                                                 .world_size = env_.world_size,
                                                 .local_rank = env_.local_rank,
                                                 .host = {},
                                                 .pid = 0,
                                                 .version = {},
                                                 .git_commit = {}});
  } catch (const Error& error) {
    log_warning("this rank has no metrics page: ", error.what());
  }
}

void TrainReport::start(int64_t first_step, int64_t total_steps) {
  stats().step = first_step;
  total_steps_ = total_steps;
  was_done_before_ = first_step > 0 && first_step >= total_steps;
  if (was_done_before_ && env_.rank == 0) {
    log_info("already trained for ", first_step, " steps; raise --steps to go on");
  }
  update_memory();
  publish();
}

void TrainReport::publish() {
  if (page_) page_->publish();
}

void TrainReport::update_memory() {
  const MemoryStats memory = memory_stats(communicator_.device());
  for (int k = 0; k < kMemoryKinds; ++k) {
    stats().memory_allocated_bytes[static_cast<size_t>(k)] = memory.allocated_bytes[k];
  }
  stats().memory_reserved_bytes = memory.reserved_bytes;
  stats().memory_peak_bytes = memory.peak_allocated_bytes;
}

void TrainReport::step_begins() {
  waited_before_ = communicator_.stats().waited_seconds;
  if (std::exchange(step_is_open_, true)) return;
  at_step_begin_ = communicator_.stats();
  timer_->begin_step();
}

void TrainReport::backward_done() {
  // Waiting happened inside backward: what the computation there did not hide.
  timer_->reassign(Phase::kBackward, Phase::kCommExposed,
                   communicator_.stats().waited_seconds - waited_before_);
}

void TrainReport::count_communication() {
  const CommStats comm = communicator_.stats();
  stats().comm_operations = comm.operations;
  stats().comm_bytes = comm.bytes;
  // Between steps ranks wait for each other's checkpoint and validation, which says nothing about
  // how well gradients are exchanged.
  stats().comm_busy_seconds += comm.busy_seconds - at_step_begin_.busy_seconds;
  stats().comm_exposed_seconds += comm.waited_seconds - at_step_begin_.waited_seconds;
}

void TrainReport::step_done(const FinishedStep& step) {
  step_is_open_ = false;
  const double seconds = timer_->end_step();
  StepStats& s = stats();
  s.step = step.step;
  s.samples += step.local_samples;
  s.tokens += step.local_tokens;
  s.loss = step.loss;
  s.learning_rate = step.lr;
  s.gradient_norm = step.grad_norm;
  count_communication();
  update_memory();
  publish();

  const int64_t units = step.tokens > 0 ? step.tokens : step.samples;
  ++line_steps_;
  line_units_ += units;
  line_seconds_ += seconds;
  all_units_ += units;
  all_seconds_ += seconds;
  if (!first_loss_) first_loss_ = step.loss;
  last_loss_ = step.loss;
  if (step.loss_scale) skipped_steps_ = step.skipped_steps;
  if (env_.rank == 0) log_step(step);
}

void TrainReport::log_step(const FinishedStep& step) {
  const ProgressValues values{.step = step.step,
                              .total_steps = total_steps_,
                              .loss = step.loss,
                              .learning_rate = step.lr,
                              .gradient_norm = step.grad_norm,
                              .step_seconds = line_seconds_ / static_cast<double>(line_steps_),
                              .per_second = static_cast<double>(line_units_) / line_seconds_,
                              .unit = options_.is_classifier ? "img" : "tok"};
  progress_->move_bar(values);
  if (step.step % options_.log_every != 0 && step.step != total_steps_) return;
  progress_->print_line(values);
  const char* rate = options_.is_classifier ? "samples_per_second" : "tokens_per_second";
  std::vector<JsonField> line{
      {"step", step.step},           {"time", static_cast<int64_t>(std::time(nullptr))},
      {"loss", step.loss},           {"learning_rate", step.lr},
      {"grad_norm", step.grad_norm}, {"step_seconds", values.step_seconds},
      {rate, values.per_second}};
  if (step.loss_scale) {
    line.push_back({"loss_scale", *step.loss_scale});
    line.push_back({"skipped_steps", step.skipped_steps});
  }
  jsonl_->write(line);
  line_steps_ = line_units_ = 0;
  line_seconds_ = 0;
}

void TrainReport::validated(const Validation& v) {
  val_loss_ = v.loss;
  accuracy_ = v.accuracy;
  publish();
  if (env_.rank != 0) return;
  progress_->clear_bar();
  const std::string part = v.samples < v.available
                               ? concat(" | ", v.samples, " of ", v.available, " samples")
                               : std::string();
  if (v.accuracy) {
    log_info("step ", v.step, " | validation loss ", v.loss, " | accuracy ", *v.accuracy, part);
    jsonl_->write({{"step", v.step}, {"val_loss", v.loss}, {"accuracy", *v.accuracy}});
  } else {
    log_info("step ", v.step, " | validation loss ", v.loss, part);
    jsonl_->write({{"step", v.step}, {"val_loss", v.loss}});
  }
}

void TrainReport::checkpointed(int64_t step) {
  stats().last_checkpoint_step = step;
  stats().last_checkpoint_unix_seconds = static_cast<double>(std::time(nullptr));
  publish();
}

void TrainReport::write_summary(const std::string& path, const RunSummary& summary) const {
  try {
    write_run_summary(path, summary);
  } catch (const IoError& error) {
    log_warning(error.what());  // what was trained is in the checkpoint
  }
}

void TrainReport::finish(int64_t steps) {
  int64_t peak = memory_stats(communicator_.device()).peak_allocated_bytes;
  communicator_.host().all_reduce(&peak, 1, DType::kI64, ReduceOp::kMax)->wait();
  if (env_.rank != 0) return;
  progress_->clear_bar();
  const std::optional<double> rate =
      all_seconds_ > 0 ? std::optional(static_cast<double>(all_units_) / all_seconds_)
                       : std::nullopt;
  const double wall =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  const std::string path = options_.out + "/summary.json";
  const RunSummary summary = {.final_loss = last_loss_,
                              .val_loss = val_loss_,
                              .accuracy = accuracy_,
                              .tokens_per_second = options_.is_classifier ? std::nullopt : rate,
                              .samples_per_second = options_.is_classifier ? rate : std::nullopt,
                              .steps = steps,
                              .world_size = env_.world_size,
                              .precision = options_.precision,
                              .skipped_steps = skipped_steps_,
                              .wall_seconds = wall,
                              .peak_memory_bytes = peak};
  // A run that only found its work done knows less than the summary that is there.
  if (!was_done_before_ || !has_run_summary(path, steps)) write_summary(path, summary);
  if (first_loss_)
    log_info("loss ", *first_loss_, " at the first step, ", *last_loss_, " at the last");
  if (rate) {
    log_info(format_rate(*rate), options_.is_classifier ? " images/s" : " tokens/s", ", wall time ",
             format_duration(wall), ", peak memory ", peak >> 20, " MiB per rank");
  }
  const std::string checkpoints = checkpoint_directory(options_.out);
  log_info("summary ", path, ", metrics ", options_.out, "/metrics.jsonl",
           find_latest(checkpoints) ? ", checkpoints " + checkpoints : "");
}

void TrainReport::show_sample(const std::string& sample) const {
  if (!sample.empty()) std::printf("--- sample ---\n%s\n--- end of sample ---\n", sample.c_str());
}

}  // namespace trireme
