// A run id of a test's own, and ranks that end without cleaning up.

#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "core/base/error.h"
#include "core/metrics/stats_page.h"

namespace trireme {

/// Differs from test to test and from process to process; pages left over go with it.
class TestRun {
 public:
  explicit TestRun(const char* test) : id_(concat("test-", test, "-", ::getpid())) {}
  ~TestRun() { remove_dead_stats_pages(id_); }
  const std::string& id() const { return id_; }
  RankInfo rank(int rank, int world_size = 1) const { return {id_, rank, world_size, rank}; }

  /// Runs fn(page) in a process that then vanishes as if it had been killed.
  template <typename Fn>
  void run_rank_that_dies(int number, const Fn& fn) const {
    const pid_t pid = ::fork();
    if (pid == 0) {
      StatsPage page(rank(number));
      fn(page);
      ::_exit(0);
    }
    ::waitpid(pid, nullptr, 0);
  }

 private:
  const std::string id_;
};

}  // namespace trireme
