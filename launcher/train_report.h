// Everything a training run tells the outside: console, metrics.jsonl, summary.json and the metrics
// page that the exporter serves. Reports never stop training that has begun: what cannot be written
// is warned of once. Only a metrics.jsonl that cannot be opened at the start is an error, because
// then --out is wrong, and nothing is lost yet.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/metrics/jsonl_sink.h"
#include "core/metrics/phase_timer.h"
#include "core/metrics/progress.h"
#include "core/metrics/run_summary.h"
#include "core/metrics/spawn_exporter.h"
#include "core/metrics/stats_page.h"
#include "distributed/communicator.h"
#include "distributed/env.h"

namespace trireme {

struct ReportOptions {
  std::string task;
  bool is_classifier = false;
  std::string precision = "f32";
  std::string out;
  std::string run_id;
  int64_t log_every = 10;
};

/// One finished step; sums over all ranks unless said.
struct FinishedStep {
  int64_t step = 0;  // from 1
  double loss = 0;
  double lr = 0;
  double grad_norm = 0;
  /// Where the loss is scaled: by how much, and how many steps have been left out in all.
  std::optional<double> loss_scale = {};
  int64_t skipped_steps = 0;
  int64_t samples = 0;
  int64_t tokens = 0;
  int64_t local_samples = 0;  // of this rank
  int64_t local_tokens = 0;
};

/// One validation, over all ranks.
struct Validation {
  int64_t step = 0;
  double loss = 0;  // mean over the samples
  std::optional<double> accuracy;
  int64_t samples = 0;    // that were looked at,
  int64_t available = 0;  // of so many
};

/// Every rank has one; only rank 0 writes files and prints. Used by the training thread.
class TrainReport {
 public:
  /// Collective. Starts this node's exporter if nobody else serves metrics. Throws IoError if rank
  /// 0 cannot open metrics.jsonl.
  TrainReport(const ReportOptions& options, const RankEnv& env, Communicator& communicator);

  void start(int64_t first_step, int64_t total_steps);
  /// The phase that lasts until the returned scope ends.
  [[nodiscard]] StepTimer::Scope phase(Phase phase) { return timer_->phase(phase); }
  /// Where the host runs a step ahead of a GPU, a second step may begin before the first is done:
  /// its time so far then counts for the first.
  void step_begins();
  /// Once in each step, when the last backward has returned and before any other collective.
  void backward_done();
  void step_done(const FinishedStep& step);
  void validated(const Validation& validation);
  void checkpointed(int64_t step);
  /// Collective: writes summary.json with the peak memory of all ranks and prints the end. A run
  /// whose steps had all been done before it began leaves their summary as it is.
  void finish(int64_t steps);
  /// On rank 0; "" shows nothing.
  void show_sample(const std::string& sample) const;

 private:
  /// Whether metrics of this node are served. If not there is no page: whoever serves also removes
  /// the pages of ranks that were killed.
  bool somebody_serves();
  void open_page();
  StepStats& stats() { return page_ ? page_->stats() : own_stats_; }
  void publish();
  void update_memory();
  void count_communication();
  void log_step(const FinishedStep& step);
  void write_summary(const std::string& path, const RunSummary& summary) const;

  const ReportOptions options_;
  const RankEnv env_;
  Communicator& communicator_;
  std::unique_ptr<StatsPage> page_;            // null if nobody serves it or memory was refused
  StepStats own_stats_;                        // then used instead
  std::unique_ptr<ExporterProcess> exporter_;  // local rank 0, where no launcher serves metrics
  std::optional<StepTimer> timer_;

  // Rank 0 only.
  std::unique_ptr<JsonlSink> jsonl_;
  std::unique_ptr<ProgressReporter> progress_;

  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  int64_t total_steps_ = 0;
  bool was_done_before_ = false;
  CommStats at_step_begin_;
  double waited_before_ = 0;  // in collectives, when the newest step began
  bool step_is_open_ = false;
  // Since the last log line, and since the start: steps alone, without validation and checkpoints.
  int64_t line_steps_ = 0, line_units_ = 0;
  double line_seconds_ = 0;
  int64_t all_units_ = 0;
  double all_seconds_ = 0;
  std::optional<double> first_loss_, last_loss_, val_loss_, accuracy_;
  std::optional<int64_t> skipped_steps_;  // where the loss is scaled
};

}  // namespace trireme
