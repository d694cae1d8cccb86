// Fault drill: a rank dies in each phase in each way; the gang ends in time, the culprit is named,
// its exit code is kept, and nothing is left behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/shm_name.h"
#include "core/checkpoint/catalog.h"
#include "core/checkpoint/checkpoint.h"
#include "tests/launcher/launched.h"

namespace trireme::testing {
namespace {

using ::testing::HasSubstr;

struct Drill {
  const char* phase;
  const char* action;
};

class FaultDrill : public ::testing::TestWithParam<Drill> {};

std::vector<std::string> left_in_shared_memory(const std::string& run_id) {
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename();
    if (name.starts_with(shm_name_prefix(run_id))) left.push_back(name);
  }
  return left;
}

int expected_code(const std::string& action) {
  if (action == "kill") return 128 + 9;
  return action == "exit" ? 3 : 1;
}

TEST_P(FaultDrill, EndsTheGangAndNamesTheCulprit) {
  const auto [phase, action] = GetParam();
  const TempDir folder;
  const std::string id = unique_run_id(concat("fault-", phase, "-", action));
  const std::string checkpoints = folder / "checkpoints";
  Launched run(folder.path(), {"run", "-n", "3", "--run-id", id, "--metrics-port", "off", "--",
                               TRIREME_FAULTY_RANK, phase, action, checkpoints});
  EXPECT_EQ(run.wait(), expected_code(action)) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("rank 1 of 3 failed")) << "the culprit, not its victims";
  if (std::string(action) == "raise") {
    EXPECT_THAT(run.err(), HasSubstr(concat("injected fault in ", phase)));
  }
  EXPECT_THAT(left_in_shared_memory(id), ::testing::IsEmpty());
  // Whatever checkpoints there are load.
  for (const CheckpointInfo& info : list_checkpoints(checkpoints)) {
    EXPECT_EQ(load_checkpoint(info.path).step, info.step);
  }
}

std::vector<Drill> all_drills() {
  std::vector<Drill> drills;
  for (const char* phase : {"init", "forward", "backward", "collective", "checkpoint"}) {
    for (const char* action : {"raise", "exit", "kill"}) drills.push_back({phase, action});
  }
  return drills;
}

INSTANTIATE_TEST_SUITE_P(Phases, FaultDrill, ::testing::ValuesIn(all_drills()),
                         [](const auto& drill) {
                           return concat(drill.param.phase, "_", drill.param.action);
                         });

}  // namespace
}  // namespace trireme::testing
