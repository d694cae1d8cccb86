// Runs a test body as a function of a rank on any backend.
//
//   TEST(Barrier, Works) {
//     run_ranks_on(TestBackend::kShm, 4, [](Communicator& comm) { comm.barrier(); });
//   }
//
// A failed expectation or an escaping error in any rank fails the test.

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "distributed/communicator.h"
#include "tests/support/rank_processes.h"

namespace trireme::testing {

enum class TestBackend { kLocal, kShm, kMpi };

const char* name_of(TestBackend backend);

/// `local` runs threads of this process, the others processes. Skips the test where the backend
/// cannot run, with the reason. The default deadline is short: nothing here should wait.
void run_ranks_on(TestBackend backend, int world_size,
                  const std::function<void(Communicator&)>& body,
                  const CommOptions& options = {std::chrono::seconds(60)});

/// The communicator of a process that run_rank_processes started.
std::unique_ptr<Communicator> make_test_communicator(TestBackend backend, const RankPlace& place,
                                                     const CommOptions& options);

/// A backend and a number of ranks, for parameterised tests.
struct RankCase {
  TestBackend backend;
  int world_size;
};
/// Prints "shm_3".
std::string case_name(const RankCase& rank_case);
/// Every backend with 1, 2, 3 and 4 ranks. mpi: 2, 3 and 4.
std::vector<RankCase> all_rank_cases();

}  // namespace trireme::testing
