#include "core/metrics/families.h"

#include <limits>
#include <string>

#include <prometheus/metric_family.h>

#include "core/base/config.h"

namespace trireme {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

/// A metric with one value per rank. `known` says whether a rank has it.
struct Row {
  const char* name;
  const char* help;
  MetricType type;
  double (*value)(const StepStats&);
  bool (*known)(const StepStats&);
};

bool always(const StepStats&) { return true; }
template <Reported StepStats::*kField>
double value_of(const StepStats& s) {
  return (s.*kField).value;
}
template <Reported StepStats::*kField>
bool is_known(const StepStats& s) {
  return (s.*kField).is_known != 0;
}
template <auto kField>
double field(const StepStats& s) {
  return static_cast<double>(s.*kField);
}
bool has_step(const StepStats& s) { return s.last_step_unix_seconds > 0; }
bool has_checkpoint(const StepStats& s) { return s.last_checkpoint_step >= 0; }

using S = StepStats;
constexpr MetricType kCounter = MetricType::Counter;
constexpr MetricType kGauge = MetricType::Gauge;

// clang-format off
constexpr Row kRows[] = {
    {"trireme_train_step", "Number of the last finished step; continues when a run is resumed", kGauge, field<&S::step>, has_step},
    {"trireme_train_steps_total", "Steps finished since the process started", kCounter, field<&S::steps>, always},
    {"trireme_train_samples_total", "Samples this rank has trained on since the process started", kCounter, field<&S::samples>, always},
    {"trireme_train_tokens_total", "Tokens this rank has trained on since the process started", kCounter, field<&S::tokens>, always},
    {"trireme_train_last_step_timestamp_seconds", "Unix time at which the last step finished", kGauge, field<&S::last_step_unix_seconds>, has_step},
    {"trireme_train_loss", "Training loss as last reported", kGauge, value_of<&S::loss>, is_known<&S::loss>},
    {"trireme_train_learning_rate", "Learning rate of the last step", kGauge, value_of<&S::learning_rate>, is_known<&S::learning_rate>},
    {"trireme_train_grad_norm", "Global gradient norm before clipping, as last reported", kGauge, value_of<&S::gradient_norm>, is_known<&S::gradient_norm>},
    {"trireme_comm_operations_total", "Collectives this rank has taken part in", kCounter, field<&S::comm_operations>, always},
    {"trireme_comm_bytes_total", "Bytes of the buffers given to collectives", kCounter, field<&S::comm_bytes>, always},
    {"trireme_comm_busy_seconds_total", "Time during which collectives were running", kCounter, field<&S::comm_busy_seconds>, always},
    {"trireme_comm_exposed_seconds_total", "Time for which computation was blocked by collectives", kCounter, field<&S::comm_exposed_seconds>, always},
    {"trireme_memory_reserved_bytes", "Memory the tensor allocator holds, in use or cached", kGauge, field<&S::memory_reserved_bytes>, always},
    {"trireme_memory_peak_bytes", "Most tensor memory in use at one time", kGauge, field<&S::memory_peak_bytes>, always},
    {"trireme_host_memory_rss_bytes", "Resident set size of the rank's process", kGauge, field<&S::resident_bytes>, always},
    {"trireme_checkpoint_last_step", "Step of the last complete checkpoint", kGauge, field<&S::last_checkpoint_step>, has_checkpoint},
    {"trireme_checkpoint_last_success_timestamp_seconds", "Unix time of the last complete checkpoint", kGauge, field<&S::last_checkpoint_unix_seconds>, has_checkpoint},
    {"trireme_world_size", "Ranks of the run", kGauge, field<&S::world_size>, always},
};
// clang-format on

Labels labels_of(const RankSnapshot& rank) {
  return {{"job_id", rank.info.run_id}, {"rank", std::to_string(rank.info.rank)}};
}

Labels with(Labels labels, std::initializer_list<ClientMetric::Label> more) {
  labels.insert(labels.end(), more);
  return labels;
}

void add(MetricFamily& family, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  (family.type == kCounter ? metric.counter.value : metric.gauge.value) = value;
  family.metric.push_back(std::move(metric));
}

MetricFamily row_family(const Row& row, const std::vector<RankSnapshot>& ranks) {
  MetricFamily family{row.name, row.help, row.type, {}};
  for (const RankSnapshot& rank : ranks) {
    if (row.known(rank.stats)) add(family, labels_of(rank), row.value(rank.stats));
  }
  return family;
}

MetricFamily duration_family(const std::vector<RankSnapshot>& ranks) {
  MetricFamily family{
      "trireme_train_step_duration_seconds", "Duration of whole steps", MetricType::Histogram, {}};
  for (const RankSnapshot& rank : ranks) {
    ClientMetric metric;
    metric.label = labels_of(rank);
    uint64_t count = 0;
    for (int i = 0; i <= kStepBuckets; ++i) {
      count += static_cast<uint64_t>(rank.stats.step_duration_counts[static_cast<size_t>(i)]);
      const double bound =
          i < kStepBuckets ? step_bucket_bound_seconds(i) : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({count, bound});
    }
    metric.histogram.sample_count = count;
    metric.histogram.sample_sum = rank.stats.step_duration_sum_seconds;
    family.metric.push_back(std::move(metric));
  }
  return family;
}

template <size_t N, typename Values>
MetricFamily split_family(MetricFamily family, const char* label,
                          const std::array<const char*, N>& names, Values StepStats::*values,
                          const std::vector<RankSnapshot>& ranks) {
  for (const RankSnapshot& rank : ranks) {
    for (size_t i = 0; i < N; ++i) {
      add(family, with(labels_of(rank), {{label, names[i]}}),
          static_cast<double>((rank.stats.*values)[i]));
    }
  }
  return family;
}

void add_facts(std::vector<MetricFamily>& families, const std::vector<RankSnapshot>& ranks) {
  MetricFamily build{"trireme_build_info", "What runs", kGauge, {}};
  MetricFamily rank_info{"trireme_rank_info", "Where a rank runs", kGauge, {}};
  MetricFamily alive{"trireme_rank_alive", "1 while the rank's process runs, else 0", kGauge, {}};
  for (const RankSnapshot& rank : ranks) {
    add(build,
        with(labels_of(rank), {{"version", rank.info.version},
                               {"git_commit", rank.info.git_commit},
                               {"cuda", kCudaVersion},
                               {"nccl", kNcclVersion},
                               {"mpi", kMpiVersion}}),
        1);
    add(rank_info,
        with(labels_of(rank), {{"local_rank", std::to_string(rank.info.local_rank)},
                               {"hostname", rank.info.host},
                               {"pid", std::to_string(rank.info.pid)}}),
        1);
    add(alive, labels_of(rank), rank.is_alive ? 1 : 0);
  }
  families.push_back(std::move(build));
  families.push_back(std::move(rank_info));
  families.push_back(std::move(alive));
}

}  // namespace

std::vector<MetricFamily> make_families(const std::vector<RankSnapshot>& ranks) {
  std::vector<MetricFamily> families;
  add_facts(families, ranks);
  for (const Row& row : kRows) families.push_back(row_family(row, ranks));
  families.push_back(duration_family(ranks));
  families.push_back(split_family({"trireme_train_phase_seconds_total",
                                   "Time by phase; the phases add up to wall time",
                                   kCounter,
                                   {}},
                                  "phase", kPhaseNames, &StepStats::phase_seconds, ranks));
  families.push_back(
      split_family({"trireme_memory_allocated_bytes", "Tensor memory in use, by kind", kGauge, {}},
                   "kind", kMemoryKindNames, &StepStats::memory_allocated_bytes, ranks));
  // A family without values would be a name without samples: left out until there is one.
  std::erase_if(families, [](const MetricFamily& family) { return family.metric.empty(); });
  return families;
}

}  // namespace trireme
