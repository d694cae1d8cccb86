// Which variables decide who a rank is, and what is said about variables that make no sense.
#include "distributed/env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::trireme::testing::message_of;
using Variables = std::map<std::string, std::string>;

RankEnv detect(const Variables& variables, const RankFlags& flags = {}) {
  return detect_rank_env(flags, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

std::string error_of(const Variables& variables) {
  return message_of<EnvironmentError>([&] { detect(variables); });
}

const Variables kTorchrun = {{"RANK", "3"},           {"WORLD_SIZE", "4"},
                             {"LOCAL_RANK", "1"},     {"LOCAL_WORLD_SIZE", "2"},
                             {"GROUP_RANK", "1"},     {"MASTER_ADDR", "node-a"},
                             {"MASTER_PORT", "4711"}, {"TORCHELASTIC_RUN_ID", "job-7"}};

const Variables kMpi = {{"OMPI_COMM_WORLD_RANK", "2"},
                        {"OMPI_COMM_WORLD_SIZE", "3"},
                        {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                        {"OMPI_COMM_WORLD_LOCAL_SIZE", "1"},
                        {"PMIX_NAMESPACE", "123456"}};

const Variables kSlurm = {{"SLURM_PROCID", "4"},
                          {"SLURM_STEP_NUM_TASKS", "7"},
                          {"SLURM_LOCALID", "0"},
                          {"SLURM_NODEID", "2"},
                          {"SLURM_JOB_ID", "99"},
                          {"SLURM_STEP_ID", "1"},
                          {"SLURM_STEP_TASKS_PER_NODE", "2(x2),3"}};

Variables with(Variables variables, const Variables& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

void expect_place(const RankEnv& env, int rank, int world, int local, int local_world, int node) {
  EXPECT_EQ(env.rank, rank);
  EXPECT_EQ(env.world_size, world);
  EXPECT_EQ(env.local_rank, local);
  EXPECT_EQ(env.local_world_size, local_world);
  EXPECT_EQ(env.node_rank, node);
}

TEST(RankEnv, IsASingleProcessWithoutAnyVariables) {
  const RankEnv env = detect({});
  expect_place(env, 0, 1, 0, 1, 0);
  EXPECT_EQ(env.source, RankSource::kSingle);
  EXPECT_NE(env.run_id, detect({}).run_id) << "two processes of their own are two runs";
}

TEST(RankEnv, ReadsTorchrunVariables) {
  const RankEnv env = detect(kTorchrun);
  expect_place(env, 3, 4, 1, 2, 1);
  EXPECT_EQ(env.source, RankSource::kTorchrun);
  EXPECT_EQ(env.master_addr, "node-a");
  EXPECT_EQ(env.master_port, 4711);
  EXPECT_EQ(env.run_id, "job-7");
  EXPECT_EQ(describe(env),
            "rank 3 of 4, local rank 1 of 2, run job-7 (from torchrun variables: RANK=3)");
}

TEST(RankEnv, NamesTorchrunRunsWithoutAnIdAfterTheirMeetingPoint) {
  EXPECT_EQ(detect(with(kTorchrun, {{"TORCHELASTIC_RUN_ID", "none"}})).run_id, "at-node-a-4711");
}

TEST(RankEnv, SeveralRanksWithoutARunIdAreRejected) {
  // A name made up here would be the same for every run, and two runs would meet.
  const Variables by_hand = {{"TRIREME_RANK", "0"},
                             {"TRIREME_WORLD_SIZE", "2"},
                             {"TRIREME_LOCAL_RANK", "0"},
                             {"TRIREME_LOCAL_WORLD_SIZE", "2"}};
  EXPECT_THAT(error_of(by_hand),
              AllOf(HasSubstr("from TRIREME_RANK=0"), HasSubstr("set TRIREME_RUN_ID")));
  EXPECT_EQ(detect(with(by_hand, {{"TRIREME_RUN_ID", "mine"}})).run_id, "mine");
  EXPECT_EQ(detect(with(by_hand, {{"MASTER_ADDR", "a"}, {"MASTER_PORT", "1"}})).run_id, "at-a-1");
  Variables no_job = kMpi;
  no_job.erase("PMIX_NAMESPACE");
  EXPECT_THAT(error_of(no_job), HasSubstr("set TRIREME_RUN_ID"));
}

TEST(RankEnv, ReadsOpenMpiVariables) {
  const RankEnv env = detect(kMpi);
  expect_place(env, 2, 3, 0, 1, 0);
  EXPECT_EQ(env.source, RankSource::kOpenMpi);
  EXPECT_EQ(env.run_id, "mpi-123456");
}

TEST(RankEnv, ReadsSlurmTasksOfEachNode) {
  const RankEnv env = detect(kSlurm);
  expect_place(env, 4, 7, 0, 3, 2);
  EXPECT_EQ(env.source, RankSource::kSlurm);
  EXPECT_EQ(env.run_id, "slurm-99.1");
  EXPECT_EQ(detect(with(kSlurm, {{"SLURM_NODEID", "1"}, {"SLURM_PROCID", "3"}})).local_world_size,
            2);
}

TEST(RankEnv, IgnoresSlurmVariablesOfABatchScript) {
  EXPECT_EQ(detect({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).source, RankSource::kSingle);
}

TEST(RankEnv, ReadsOneRankPerNodeFromPetVariables) {
  const RankEnv env = detect({{"PET_NODE_RANK", "1"},
                              {"PET_NNODES", "2"},
                              {"PET_NPROC_PER_NODE", "1"},
                              {"PET_MASTER_ADDR", "job-node-0-0.job"},
                              {"PET_MASTER_PORT", "29400"}});
  expect_place(env, 1, 2, 0, 1, 1);
  EXPECT_EQ(env.source, RankSource::kPet);
  EXPECT_EQ(env.master_addr, "job-node-0-0.job");
  EXPECT_EQ(env.master_port, 29400);
}

TEST(RankEnv, PetVariablesForSeveralRanksNeedALauncher) {
  EXPECT_THAT(error_of({{"PET_NODE_RANK", "0"}, {"PET_NNODES", "1"}, {"PET_NPROC_PER_NODE", "4"}}),
              AllOf(HasSubstr("PET_NPROC_PER_NODE=4"), HasSubstr("trireme run")));
}

TEST(RankEnv, PrefersTriremeVariablesAndAcceptsThoseThatAgree) {
  const Variables ours = {{"TRIREME_RANK", "3"},
                          {"TRIREME_WORLD_SIZE", "4"},
                          {"TRIREME_LOCAL_RANK", "1"},
                          {"TRIREME_LOCAL_WORLD_SIZE", "2"},
                          {"TRIREME_RUN_ID", "ours"}};
  const RankEnv env = detect(with(kTorchrun, ours));
  expect_place(env, 3, 4, 1, 2, 1);
  EXPECT_EQ(env.source, RankSource::kTrireme);
  EXPECT_EQ(env.run_id, "ours");
}

TEST(RankEnv, ShowsBothSidesOfAContradiction) {
  EXPECT_THAT(error_of(with(kTorchrun, kMpi)),
              AllOf(HasSubstr("rank 3 of 4, local rank 1 of 2 from RANK=3"),
                    HasSubstr("rank 2 of 3, local rank 0 of 1 from OMPI_COMM_WORLD_RANK=2"),
                    HasSubstr("unset")));
}

TEST(RankEnv, ALauncherInsideASlurmStepDecides) {
  EXPECT_EQ(detect(with(kMpi, kSlurm)).source, RankSource::kOpenMpi);
}

TEST(RankEnv, FlagsMustAgreeWithALauncher) {
  const RankFlags same = {.rank = 3, .world_size = 4, .local_rank = 1, .local_world_size = 2};
  const RankEnv env = detect(kTorchrun, same);
  expect_place(env, 3, 4, 1, 2, 1);
  EXPECT_EQ(env.source, RankSource::kFlags);
  EXPECT_EQ(env.run_id, "job-7");
  EXPECT_THAT(message_of<EnvironmentError>([&] { detect(kMpi, same); }),
              AllOf(HasSubstr("rank 3 of 4, local rank 1 of 2 from flags"),
                    HasSubstr("rank 2 of 3, local rank 0 of 1 from OMPI_COMM_WORLD_RANK=2"),
                    HasSubstr("unset the Open MPI variables or leave out the flags")));
}

TEST(RankEnv, FlagsInsideASlurmStepDecide) {
  const RankFlags flags = {.rank = 1, .world_size = 2, .local_rank = 1, .local_world_size = 2};
  const RankEnv env = detect(with(kSlurm, {{"TRIREME_RUN_ID", "mine"}}), flags);
  expect_place(env, 1, 2, 1, 2, 0);
  EXPECT_EQ(env.source, RankSource::kFlags);
}

TEST(RankEnv, RejectsIncompleteFlags) {
  RankFlags flags;
  flags.rank = 1;
  flags.world_size = 2;
  EXPECT_THAT(message_of<InvalidArgument>([&] { detect({}, flags); }),
              HasSubstr("must be given together, got 2"));
}

TEST(RankEnv, RejectsIncompleteVariables) {
  EXPECT_THAT(error_of({{"RANK", "0"}}),
              AllOf(HasSubstr("got RANK=0 without WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE"),
                    HasSubstr("none for a single process")));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "4"}}), HasSubstr("without RANK"));
  EXPECT_THAT(error_of({{"PET_NODE_RANK", "0"}}), HasSubstr("needs PET_NNODES"));
  EXPECT_THAT(error_of({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}}),
              HasSubstr("SLURM_LOCALID"));
}

TEST(RankEnv, RejectsRanksOutsideTheirWorld) {
  EXPECT_THAT(error_of(with(kTorchrun, {{"RANK", "4"}})),
              AllOf(HasSubstr("got rank 4 and world size 4"), HasSubstr("RANK=4")));
  EXPECT_THAT(error_of(with(kTorchrun, {{"RANK", "-1"}})), HasSubstr("got rank -1"));
  EXPECT_THAT(error_of(with(kTorchrun, {{"LOCAL_RANK", "2"}})), HasSubstr("got local rank 2"));
  EXPECT_THAT(error_of(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "5"}})),
              HasSubstr("more ranks than the world"));
  EXPECT_THAT(error_of(with(kSlurm, {{"SLURM_STEP_TASKS_PER_NODE", "2(x2)"}})),
              HasSubstr("tasks of node 2, got '2(x2)'"));
}

TEST(RankEnv, RejectsTextThatIsNoNumber) {
  EXPECT_THAT(error_of(with(kTorchrun, {{"RANK", "two"}})),
              HasSubstr("RANK must be a whole number, got 'two'"));
  EXPECT_THAT(error_of(with(kTorchrun, {{"WORLD_SIZE", "4x"}})), HasSubstr("got '4x'"));
  EXPECT_THAT(error_of(with(kTorchrun, {{"MASTER_PORT", "70000"}})),
              HasSubstr("MASTER_PORT must be from 0 to 65535, got 70000"));
}

}  // namespace
}  // namespace trireme
