// How runs end: failures, signals, time limits; and that nothing is left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "core/base/error.h"
#include "core/base/shm_name.h"
#include "tests/launcher/launched.h"

namespace trireme::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Waits for ever; signals end it unless they are ignored.
const std::string kForever = "while :; do sleep 0.1; done";
const std::string kUntilGo = "until [ -e go ]; do sleep 0.01; done";

class RunEnding : public ::testing::Test {
 protected:
  std::unique_ptr<Launched> launch(const std::vector<std::string>& flags,
                                   const std::string& script) {
    return std::make_unique<Launched>(test_.folder(), RunTest::words(flags, script),
                                      test_.environment());
  }
  /// Lets scripts pass kUntilGo.
  void go() const { std::ofstream(test_.folder() + "/go") << "go"; }
  /// Process ids that ranks report, `count` of them.
  std::vector<pid_t> reported_pids(int count) {
    std::vector<pid_t> pids;
    for (int i = 0; i < count; ++i) pids.push_back(std::stoi("0" + test_.next_report()));
    return pids;
  }
  static void expect_gone(const std::vector<pid_t>& pids) {
    for (const pid_t pid : pids) {
      EXPECT_TRUE(pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) << pid << " is left";
    }
  }

  RunTest test_;
};

TEST_F(RunEnding, OneFailingRankEndsTheGangAndIsNamed) {
  const std::string id = unique_run_id("failing");
  auto run = launch({"-n", "4", "--run-id", id},
                    "echo $$ > $TEST_REPORT; "
                    "[ $RANK = 2 ] || " +
                        kForever + "; echo 'no such file' >&2; exit 65");
  const std::vector<pid_t> ranks = reported_pids(4);
  EXPECT_EQ(run->wait(kGangLimit), 65);
  EXPECT_THAT(run->err(),
              AllOf(HasSubstr("rank 2 of 4 failed: exit code 65"),
                    HasSubstr("ended by the launcher: rank "), HasSubstr("  | no such file\n"),
                    HasSubstr("runs/" + id + "/logs/rank-0002/stderr.log")));
  EXPECT_THAT(read_text(test_.folder() + "/runs/" + id + "/failure.json"),
              AllOf(HasSubstr("\"rank\": 2"), HasSubstr("\"exit_code\": 65")));
  expect_gone(ranks);
}

TEST_F(RunEnding, ARankThatIgnoresSigtermIsKilledAndSoAreItsDescendants) {
  auto run = launch({"-n", "2"}, "trap '' TERM; if [ $RANK = 1 ]; then " + kUntilGo +
                                     "; exit 7; fi; "
                                     "setsid sh -c 'echo $$ > $TEST_REPORT; " +
                                     kForever + "' & " + "sh -c 'echo $$ > $TEST_REPORT; " +
                                     kForever + "' & " + "echo $$ > $TEST_REPORT; " + kForever);
  const std::vector<pid_t> pids = reported_pids(3);
  go();
  EXPECT_EQ(run->wait(kGangLimit), 7);
  EXPECT_THAT(run->err(), HasSubstr("ended by the launcher: rank 0"));
  expect_gone(pids);
}

TEST_F(RunEnding, APeerThatOnlyLostItsPeerIsNotBlamed) {
  auto run = launch({"-n", "2"},
                    "if [ $RANK = 0 ]; then echo $$ > pid; exit 69; fi; "
                    "until [ -s pid ]; do :; done; "
                    "while kill -0 $(cat pid) 2> /dev/null; do :; done; "
                    "echo culprit >&2; kill -SEGV $$");
  EXPECT_EQ(run->wait(kGangLimit), 128 + SIGSEGV);
  EXPECT_THAT(run->err(), AllOf(HasSubstr("rank 1 of 2 failed: killed by SIGSEGV"),
                                HasSubstr("failed after it: rank 0 (exit code 69"),
                                HasSubstr("  | culprit\n")));
}

TEST_F(RunEnding, ARankThatTheOthersGaveUpOnIsNamed) {
  auto run =
      launch({"-n", "3"}, "[ $RANK = 1 ] && kill -STOP $$; echo 'waited for rank 1' >&2; exit 69");
  EXPECT_EQ(run->wait(kGangLimit), 69);
  EXPECT_THAT(run->err(), AllOf(HasSubstr("rank 1 of 3 failed: did not answer"),
                                HasSubstr("gave up on it: rank "), HasSubstr("  | waited for")));
}

TEST_F(RunEnding, AnOutOfMemoryKillIsExplained) {
  auto run = launch({"-n", "2"}, "[ $RANK = 1 ] && kill -KILL $$; " + kForever);
  EXPECT_EQ(run->wait(kGangLimit), 137);
  EXPECT_THAT(run->err(), AllOf(HasSubstr("rank 1 of 2 failed: killed by SIGKILL"),
                                HasSubstr("out-of-memory killer")));
}

TEST_F(RunEnding, RanksThatLeaveWellAfterAStopSignalGive75) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
    auto run =
        launch({"-n", "2"},
               "trap 'echo saved; exit 0' TERM INT HUP USR1; echo up > $TEST_REPORT; " + kForever);
    EXPECT_EQ(test_.next_report() + test_.next_report(), "upup");
    run->send(signal);
    EXPECT_EQ(run->wait(), 75) << signal;
    EXPECT_EQ(test_.log(0, "stdout"), "saved\n") << signal;
    EXPECT_EQ(test_.log(1, "stdout"), "saved\n") << signal;
    EXPECT_THAT(run->err(), AllOf(HasSubstr("stopped on request"), Not(HasSubstr("failed"))));
  }
}

TEST_F(RunEnding, RanksThatDieOfAStopSignalGive128PlusIt) {
  auto run = launch({"-n", "2"}, "echo up > $TEST_REPORT; " + kForever);
  EXPECT_EQ(test_.next_report() + test_.next_report(), "upup");
  run->send(SIGTERM);
  EXPECT_EQ(run->wait(), 128 + SIGTERM);
  EXPECT_THAT(run->err(), AllOf(HasSubstr("stopped by SIGTERM"), Not(HasSubstr("failed"))));
}

TEST_F(RunEnding, Sigusr2IsPassedOnAndEndsNothing) {
  auto run = launch({},
                    "trap 'echo got >> got; [ $(wc -l < got) = 2 ] && exit 0' USR2; "
                    "echo up > $TEST_REPORT; while :; do "
                    "if [ -e got ] && [ ! -e told ]; then : > told; echo once > $TEST_REPORT; fi; "
                    "sleep 0.02; done");
  EXPECT_EQ(test_.next_report(), "up");
  run->send(SIGUSR2);
  EXPECT_EQ(test_.next_report(), "once");
  run->send(SIGUSR2);
  EXPECT_EQ(run->wait(), 0);
}

TEST_F(RunEnding, GracePassedMeansSigkill) {
  auto run = launch({"--grace", "100ms"}, "trap '' TERM; echo $$ > $TEST_REPORT; " + kForever);
  const std::vector<pid_t> ranks = reported_pids(1);
  run->send(SIGTERM);
  EXPECT_EQ(run->wait(), 128 + SIGTERM);
  expect_gone(ranks);
}

TEST_F(RunEnding, ASecondCtrlCKillsAtOnce) {
  auto run = launch({"--grace", "1h"}, "trap '' INT; echo $$ > $TEST_REPORT; " + kForever);
  const std::vector<pid_t> ranks = reported_pids(1);
  int code = -1;
  for (int i = 0; i < 100 && code < 0; ++i) {  // the second counts only some time after the first
    run->send(SIGINT);
    code = run->wait(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(code, 128 + SIGINT);
  expect_gone(ranks);
}

TEST_F(RunEnding, TheTimeLimitGives124) {
  auto run = launch({"-n", "2", "--timeout", "300ms"}, "echo $$ > $TEST_REPORT; " + kForever);
  const std::vector<pid_t> ranks = reported_pids(2);
  EXPECT_EQ(run->wait(), 124);
  EXPECT_THAT(run->err(), HasSubstr("time limit of 0.3 s reached"));
  expect_gone(ranks);
}

TEST_F(RunEnding, WhatARankLeavesBehindIsEnded) {
  auto run = launch({}, "setsid sh -c 'echo $$ > $TEST_REPORT; " + kForever + "' & " + kUntilGo);
  const std::vector<pid_t> pids = reported_pids(1);
  go();
  EXPECT_EQ(run->wait(), 0);
  expect_gone(pids);
}

TEST_F(RunEnding, ALauncherThatIsKilledTakesItsRanksAlong) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  auto run = launch({"-n", "2"}, "echo $$ > $TEST_REPORT; exec sleep 100");
  const std::vector<pid_t> ranks = reported_pids(2);
  run->send(SIGKILL);
  for (const pid_t rank : ranks) EXPECT_TRUE(wait_until_gone(rank)) << rank;
}

TEST_F(RunEnding, SharedMemoryOfTheRunIsRemovedAndNoOther) {
  const std::string id = unique_run_id("sweep");
  const std::string mine = "/dev/shm/" + shm_name_prefix(id) + "grads";
  const std::string other = "/dev/shm/" + shm_name_prefix(id + "-not") + "grads";
  std::ofstream(other) << "x";
  auto run = launch({"--run-id", id}, "echo x > " + mine + "; kill -KILL $$");
  EXPECT_EQ(run->wait(), 137);
  EXPECT_FALSE(std::filesystem::exists(mine));
  EXPECT_TRUE(std::filesystem::remove(other));
}

}  // namespace
}  // namespace trireme::testing
