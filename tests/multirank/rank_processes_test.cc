// What all tests of several processes stand on fails where it must.

#include "tests/support/rank_processes.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace trireme::testing {
namespace {

TEST(RankProcesses, AProcessThatDoesNotRunTheBodyFailsTheTest) {
  if (is_rank_process()) return;  // as where the filter matches no test
  EXPECT_NONFATAL_FAILURE(run_rank_processes(StartWith::kFork, 1, [](const RankPlace&) {}),
                          "a rank ended well without having run its part of the test");
}

TEST(RankProcesses, EveryRankRunsTheBody) {
  const auto outcomes = run_rank_processes(
      StartWith::kFork, 2, [](const RankPlace& place) { std::exit(40 + place.rank); });
  ASSERT_EQ(outcomes.size(), 2u);
  for (int rank = 0; rank < 2; ++rank) EXPECT_EQ(outcomes[rank].exit_code, 40 + rank);
}

}  // namespace
}  // namespace trireme::testing
