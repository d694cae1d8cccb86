// Whom the launcher blames, and the code it leaves with.
#include "launcher/agent/verdict.h"

#include <gtest/gtest.h>

#include <csignal>

namespace trireme {
namespace {

using When = RankExit::When;

RankExit left(int rank, int code, When when = When::kOnItsOwn) {
  RankExit exit;
  exit.rank = rank;
  exit.exit_code = code;
  exit.when = when;
  return exit;
}

RankExit killed(int rank, int signal, When when = When::kOnItsOwn) {
  RankExit exit;
  exit.rank = rank;
  exit.signal = signal;
  exit.when = when;
  return exit;
}

Verdict verdict_on(std::vector<RankExit> exits, const Request& request = {}) {
  return judge(exits, request);
}

void expect(const Verdict& verdict, int exit_code, int culprit) {
  EXPECT_EQ(verdict.exit_code, exit_code);
  EXPECT_EQ(verdict.culprit ? verdict.culprit->rank : -1, culprit);
}

constexpr int kNobody = -1;
constexpr Request kTimeUp = {.stop_signal = std::nullopt, .timed_out = true};

TEST(Verdict, IsZeroIfEveryRankLeftWithZero) {
  expect(verdict_on({left(0, 0), left(1, 0)}), 0, kNobody);
}

TEST(Verdict, KeepsTheCodeOfTheFirstFailure) {
  expect(verdict_on({left(1, 65), left(0, 3)}), 65, 1);
  expect(verdict_on({killed(1, SIGABRT), left(0, 3)}), 128 + SIGABRT, 1);
}

TEST(Verdict, DoesNotBlameVictimsThatWereSeenFirst) {
  expect(verdict_on({left(0, 69), left(2, 69), left(1, 65)}), 65, 1);
  expect(verdict_on({left(0, 69), killed(1, SIGKILL)}), 128 + SIGKILL, 1);
}

TEST(Verdict, BlamesACrashBeforeAnErrorThatItCaused) {
  expect(verdict_on({left(0, 1), killed(1, SIGSEGV)}), 128 + SIGSEGV, 1);
}

TEST(Verdict, AnUncaughtErrorIsNoCrash) {
  expect(verdict_on({left(0, 65), killed(1, SIGABRT)}), 65, 0);
}

TEST(Verdict, BlamesTheFirstVictimIfThereAreOnlyVictims) {
  expect(verdict_on({left(1, 69), left(0, 69)}), 69, 1);
}

TEST(Verdict, BlamesTheRankThatVictimsWaitedFor) {
  expect(verdict_on({left(0, 69), left(2, 69), killed(1, SIGKILL, When::kAfterKill)}), 69, 1);
  expect(verdict_on({left(0, 69), killed(3, SIGKILL, When::kAfterKill),
                     killed(2, SIGTERM, When::kAfterTerm), left(1, 69)}),
         69, 2);
  expect(verdict_on({left(0, 69), left(1, 0, When::kAfterTerm)}), 69, 1);
  // One that failed in another way explains it better.
  expect(verdict_on({left(0, 69), left(2, 65), killed(1, SIGKILL, When::kAfterKill)}), 65, 2);
}

TEST(Verdict, IgnoresRanksThatTheLauncherEnded) {
  expect(verdict_on({left(1, 65), killed(0, SIGSEGV, When::kAfterTerm),
                     killed(2, SIGKILL, When::kAfterKill)}),
         65, 1);
}

TEST(Verdict, IsStoppedIfRanksLeaveWellAfterARequest) {
  expect(verdict_on({left(0, 0), left(1, 0)}, {.stop_signal = SIGTERM}), 75, kNobody);
  expect(verdict_on({left(0, 75), left(1, 0)}, {.stop_signal = SIGUSR1}), 75, kNobody);
  expect(verdict_on({left(0, 75), left(1, 0)}), 75, kNobody);
}

TEST(Verdict, IsTheSignalIfRanksDieOfIt) {
  expect(verdict_on({killed(0, SIGINT), left(1, 128 + SIGINT)}, {.stop_signal = SIGINT}),
         128 + SIGINT, kNobody);
  expect(verdict_on({killed(0, SIGTERM), left(1, 69)}, {.stop_signal = SIGTERM}), 128 + SIGTERM,
         kNobody);
  expect(verdict_on({killed(0, SIGKILL, When::kAfterKill)}, {.stop_signal = SIGTERM}),
         128 + SIGTERM, kNobody);
}

TEST(Verdict, BlamesAFailureWhileStopping) {
  expect(verdict_on({left(0, 71), killed(1, SIGTERM)}, {.stop_signal = SIGTERM}), 71, 0);
  expect(verdict_on({killed(0, SIGUSR2), left(1, 0)}), 128 + SIGUSR2, 0);
}

TEST(Verdict, IsTheTimeLimitUnlessARankHadFailedBefore) {
  expect(verdict_on({killed(0, SIGTERM, When::kAfterTerm)}, kTimeUp), 124, kNobody);
  expect(verdict_on({left(1, 3), killed(0, SIGTERM, When::kAfterTerm)}, kTimeUp), 3, 1);
}

}  // namespace
}  // namespace trireme
