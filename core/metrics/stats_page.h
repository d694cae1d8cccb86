// The StepStats of one rank in POSIX shared memory: the training thread writes, an exporter in
// another process reads.
//
// Each rank owns the page "/<shm_name_prefix(run id)>metrics-<rank>". It holds two copies of
// StepStats and the number of the last complete one; publish() fills the older copy and then moves
// the number on, so a reader never waits for the writer, the writer never for a reader, and a
// writer killed in the middle leaves its last complete values readable. The owner holds a lock on
// the page that the system drops when the process ends, however it ends.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/metrics/step_stats.h"

namespace trireme {

struct StatsPageLayout;

/// Who writes a page; fixed while the page exists.
struct RankInfo {
  std::string run_id;  // texts are cut to 63 characters in the page
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;

  // Filled in by StatsPage.
  std::string host = {};
  int64_t pid = 0;
  std::string version = {};     // of Trireme
  std::string git_commit = {};  // "" when built outside a checkout
};

/// "/trireme-0-20261124-a1b2+metrics-3"
std::string stats_page_name(std::string_view run_id, int rank);

/// The writer's end. One thread at a time.
class StatsPage {
 public:
  /// Creates the page. A page of the same name is replaced if its owner has ended; if the owner
  /// lives, or shared memory is refused, throws IoError.
  explicit StatsPage(const RankInfo& info);
  /// Removes the page.
  ~StatsPage();
  StatsPage(const StatsPage&) = delete;

  /// The values to be published next. Write them freely; readers see them only after publish().
  StepStats& stats() { return stats_; }
  /// Makes a copy of stats() visible: no lock, no allocation, about 0.1 us. Once a second it first
  /// updates stats().resident_bytes, which takes a few microseconds.
  void publish();

  const std::string& name() const { return name_; }

 private:
  void update_resident_bytes();

  std::string name_;
  int fd_ = -1;        // holds the owner's lock
  int statm_fd_ = -1;  // /proc/self/statm
  int64_t resident_known_until_ns_ = 0;
  StatsPageLayout* page_ = nullptr;
  StepStats stats_;
};

/// One page as a reader found it.
struct RankSnapshot {
  RankInfo info;
  StepStats stats;        // from one publish(), never a mixture
  bool is_alive = false;  // the owner's process runs
};

/// Every readable page of the run on this node, by rank; tens of microseconds each. Pages that are
/// just being made, are of another layout version, or belong to another user are left out.
std::vector<RankSnapshot> read_stats_pages(std::string_view run_id);

/// Removes the pages of the run whose owners have ended; returns how many.
int remove_dead_stats_pages(std::string_view run_id);

}  // namespace trireme
