// Fault drill: a rank fails in each phase in each way. The gang ends in time, the culprit is named,
// its exit code is kept, and neither processes nor memory nor half a checkpoint are left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "core/base/shm_name.h"
#include "core/checkpoint/catalog.h"
#include "core/checkpoint/checkpoint.h"
#include "distributed/host_name.h"
#include "tests/launcher/launched.h"
#include "tests/support/rank_processes.h"

namespace trireme::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kRanks = 3;
constexpr int64_t kFaultyStep = 3, kSteps = 6;  // as in faulty_rank
// From the start of the processes to the fault, on a loaded machine.
constexpr std::chrono::seconds kUntilFault{15};
// Of every wait for a peer; a rank that is stopped is noticed after it. Longer than `slow`.
constexpr std::chrono::seconds kDeadline{4};

struct Drill {
  std::string phase;
  std::string action;
};
std::string name_of(const Drill& drill) { return drill.phase + "_" + drill.action; }
// gtest prints it, and ctest's names should not depend on addresses.
void PrintTo(const Drill& drill, std::ostream* out) { *out << name_of(drill); }

std::vector<std::string> names_in(const std::string& directory, const std::string& prefix) {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

struct Outcome {
  int exit_code = 0;
  std::string text;  // of the rank to blame, somewhere on the console; "" if nothing fails
};

Outcome expected(const Drill& drill) {
  if (drill.action == "slow") return {0, ""};
  if (drill.action == "kill") return {128 + SIGKILL, "killed by SIGKILL"};
  if (drill.action == "exit") return {3, "exit code 3"};
  if (drill.action == "stop") return {69, "did not answer"};
  if (drill.action == "nan") {
    return {1, concat("at fault: rank 1 on ", host_name(),
                      drill.phase == "forward" ? " (loss nan)" : " (gradient of ")};
  }
  if (drill.phase == "checkpoint") return {71, "File too large"};
  return {1, "injected fault in " + drill.phase};
}

class FaultDrill : public ::testing::TestWithParam<Drill> {
 protected:
  std::vector<std::string> faulty_rank() const {
    return {TRIREME_FAULTY_RANK, GetParam().phase, GetParam().action, folder_.path()};
  }
  std::string checkpoints() const { return folder_ / "checkpoints"; }
  pid_t pid_of(int rank) const {
    return static_cast<pid_t>(std::stoi("0" + read_text(folder_ / concat("pid-", rank))));
  }

  // The checkpoints before the fault load, the interrupted one is not among them, and the next save
  // clears away what it has left.
  void expect_sound_checkpoints() const {
    const bool is_interrupted = GetParam().phase == "checkpoint" && GetParam().action != "slow";
    std::vector<int64_t> steps;
    for (const CheckpointInfo& info : list_checkpoints(checkpoints())) {
      EXPECT_EQ(load_checkpoint(info.path).step, info.step);
      steps.push_back(info.step);
    }
    const bool runs_on = GetParam().action == "slow";
    if (runs_on || GetParam().phase != "init") {
      EXPECT_THAT(steps, ::testing::Contains((runs_on ? kSteps : kFaultyStep) - 1));
    }
    if (!is_interrupted) return;
    EXPECT_THAT(steps, Not(::testing::Contains(kFaultyStep)));
    // An error tidies up; what ends the process cannot.
    EXPECT_EQ(names_in(checkpoints(), ".tmp-").size(), GetParam().action == "raise" ? 0u : 1u);
    Snapshot next = load_checkpoint(*find_latest(checkpoints()));
    next.step = kFaultyStep;
    save_checkpoint(checkpoints(), next);
    EXPECT_THAT(names_in(checkpoints(), ".tmp-"), IsEmpty());
  }

  TempDir folder_;
};

TEST_P(FaultDrill, EndsTheGangAndNamesTheCulprit) {
  const Outcome outcome = expected(GetParam());
  const std::string id = unique_run_id("fault-" + name_of(GetParam()));
  std::vector<std::string> words = {
      "run", "-n", std::to_string(kRanks), "--run-id", id, "--metrics-port", "off", "--"};
  for (const std::string& word : faulty_rank()) words.push_back(word);
  Launched run(folder_.path(), words, {concat("TRIREME_TIMEOUT_SECONDS=", kDeadline.count())});
  auto limit = kUntilFault + kGangLimit;
  if (GetParam().action == "stop") limit += kDeadline;
  EXPECT_EQ(run.wait(limit), outcome.exit_code) << run.err();
  if (outcome.exit_code == 0) {
    EXPECT_THAT(run.err(), Not(HasSubstr("failed")));
  } else {
    EXPECT_THAT(run.err(), HasSubstr(outcome.text));
    // Values that are not finite are found on all ranks at once.
    if (GetParam().action != "nan") {
      EXPECT_THAT(run.err(), HasSubstr("rank 1 of 3 failed"));
    }
  }
  for (int rank = 0; rank < kRanks; ++rank) {
    EXPECT_TRUE(pid_of(rank) > 0 && ::kill(pid_of(rank), 0) != 0) << "rank " << rank << " is left";
  }
  EXPECT_THAT(names_in("/dev/shm", shm_name_prefix(id)), IsEmpty());
  expect_sound_checkpoints();
}

std::vector<Drill> all_drills() {
  std::vector<Drill> drills = {{"forward", "nan"}, {"backward", "nan"}};
  for (const char* phase : {"init", "forward", "backward", "collective", "checkpoint"}) {
    for (const char* action : {"raise", "exit", "kill", "stop", "slow"}) {
      drills.push_back({phase, action});
    }
  }
  return drills;
}

INSTANTIATE_TEST_SUITE_P(Phases, FaultDrill, ::testing::ValuesIn(all_drills()),
                         [](const auto& drill) { return name_of(drill.param); });

// The same under mpirun, over MPI: no launcher judges, so the exit code must be right by itself.
using FaultDrillUnderMpirun = FaultDrill;

TEST_P(FaultDrillUnderMpirun, EndsTheJobWithTheCodeOfTheCulprit) {
  if (!why_no_mpirun().empty()) GTEST_SKIP() << why_no_mpirun();
  std::vector<std::string> words = {
      "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np", std::to_string(kRanks)};
  for (const std::string& word : faulty_rank()) words.push_back(word);
  Launched run(folder_.path(), "mpirun", words,
               {"TRIREME_BACKEND=mpi", concat("TRIREME_TIMEOUT_SECONDS=", kDeadline.count())});
  const Outcome outcome = expected(GetParam());
  EXPECT_EQ(run.wait(kUntilFault + kGangLimit + kDeadline), outcome.exit_code) << run.err();
  if (GetParam().action == "raise") {
    EXPECT_THAT(run.err(), HasSubstr(outcome.text));
  }
  for (int rank = 0; rank < kRanks; ++rank) EXPECT_TRUE(wait_until_gone(pid_of(rank))) << rank;
  expect_sound_checkpoints();
}

INSTANTIATE_TEST_SUITE_P(Phases, FaultDrillUnderMpirun,
                         ::testing::Values(Drill{"forward", "raise"}, Drill{"backward", "raise"},
                                           Drill{"collective", "raise"},
                                           Drill{"checkpoint", "raise"}, Drill{"forward", "exit"},
                                           Drill{"backward", "kill"}, Drill{"collective", "kill"}),
                         [](const auto& drill) { return name_of(drill.param); });

}  // namespace
}  // namespace trireme::testing
