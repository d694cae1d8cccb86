#include "tests/support/run_ranks.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "distributed/make_communicator.h"
#include "distributed/run_ranks.h"
#include "distributed/shm_communicator.h"

namespace trireme::testing {

const char* name_of(TestBackend backend) {
  switch (backend) {
    case TestBackend::kLocal:
      return "local";
    case TestBackend::kShm:
      return "shm";
    case TestBackend::kMpi:
      return "mpi";
  }
  return "unknown";
}

std::unique_ptr<Communicator> make_test_communicator(TestBackend backend, const RankPlace& place,
                                                     const CommOptions& options) {
  return make_communicator({.backend = name_of(backend),
                            .rank = place.rank,
                            .world_size = place.world_size,
                            .local_world_size = place.world_size,
                            .run_id = place.run_id,
                            .timeout = options.timeout});
}

void run_ranks_on(TestBackend backend, int world_size,
                  const std::function<void(Communicator&)>& body, const CommOptions& options) {
  if (backend == TestBackend::kLocal) return run_ranks(world_size, body, options);
  if (backend == TestBackend::kMpi && !why_no_mpirun().empty()) GTEST_SKIP() << why_no_mpirun();
  const StartWith start = backend == TestBackend::kMpi ? StartWith::kMpirun : StartWith::kFork;
  const auto outcomes = run_rank_processes(start, world_size, [&](const RankPlace& place) {
    auto communicator = make_test_communicator(backend, place, options);
    try {
      body(*communicator);
    } catch (const std::exception& error) {
      communicator->abort(error.what());
      throw;
    }
  });
  for (const RankOutcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.exit_code == 0 && outcome.signal == 0)
        << "a rank ended with exit code " << outcome.exit_code << ", signal " << outcome.signal
        << ":\n"
        << outcome.output;
  }
}

std::string case_name(const RankCase& rank_case) {
  return concat(name_of(rank_case.backend), "_", rank_case.world_size);
}

std::vector<RankCase> all_rank_cases() {
  std::vector<RankCase> cases;
  for (const TestBackend backend : {TestBackend::kLocal, TestBackend::kShm, TestBackend::kMpi}) {
    for (const int world_size : {1, 2, 3, 4}) {
      if (backend != TestBackend::kMpi || world_size > 1) cases.push_back({backend, world_size});
    }
  }
  return cases;
}

}  // namespace trireme::testing
