// The summary of a failed run: short, with the culprit first.
#include "launcher/agent/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "launcher/agent/run_directory.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using ::trireme::testing::read_text;
using ::trireme::testing::TempDir;

class Summary : public ::testing::Test {
 protected:
  Summary() {
    make_run_directory(dir_ / "runs/a", 4);
    report_.run_id = "a";
    report_.run_directory = dir_ / "runs/a";
    report_.host = "node-a";
    report_.ranks = 4;
    report_.culprit.rank = 2;
    report_.culprit.pid = 4711;
    report_.culprit.exit_code = 65;
    report_.culprit.seconds = 12.34;
    report_.exit_code = 65;
    report_.exits = {report_.culprit};
  }
  void print(const std::string& stream, int lines) const {
    std::string text;
    for (int i = 1; i <= lines; ++i) text += "line " + std::to_string(i) + "\n";
    dir_.write("runs/a/logs/rank-0002/" + stream + ".log", text);
  }
  void add_exit(int rank, int code, int signal, RankExit::When when) {
    RankExit exit;
    exit.rank = rank;
    exit.exit_code = code;
    exit.signal = signal;
    exit.when = when;
    report_.exits.push_back(exit);
  }

  TempDir dir_;
  FailureReport report_;
};

TEST_F(Summary, HasAtMost25LinesAndEndsWithTheLast20OfStderr) {
  print("stderr", 1000);
  add_exit(0, 69, 0, RankExit::When::kOnItsOwn);
  add_exit(1, 0, SIGTERM, RankExit::When::kAfterTerm);
  add_exit(3, 0, 0, RankExit::When::kOnItsOwn);
  const std::string text = summarise(report_);
  EXPECT_LE(std::ranges::count(text, '\n'), 25);
  EXPECT_THAT(text, StartsWith("trireme run: rank 2 of 4 failed: exit code 65 (bad data or "
                               "checkpoint); host node-a, pid 4711, after 12.3 s\n"));
  EXPECT_THAT(
      text, AllOf(HasSubstr("failed after it: rank 0 (exit code 69"),
                  HasSubstr("ended by the launcher: rank 1"), HasSubstr("finished: rank 3"),
                  HasSubstr("hint: "), HasSubstr("rank-0002/stderr.log"), HasSubstr("| line 981\n"),
                  HasSubstr("| line 1000\n"), Not(HasSubstr("| line 980\n"))));
}

TEST_F(Summary, ShowsStdoutIfStderrIsEmpty) {
  print("stdout", 2);
  EXPECT_THAT(summarise(report_),
              AllOf(HasSubstr("rank-0002/stdout.log"), HasSubstr("| line 2\n")));
}

TEST_F(Summary, SaysThatNothingWasPrinted) {
  EXPECT_THAT(summarise(report_), HasSubstr("rank-0002/stderr.log (it printed nothing)\n"));
}

TEST_F(Summary, CutsLongLines) {
  dir_.write("runs/a/logs/rank-0002/stderr.log", std::string(100'000, 'x') + "\nend\n");
  EXPECT_LT(summarise(report_).size(), 1000U);
}

TEST_F(Summary, NamesSignalsAndTheOutOfMemoryKiller) {
  report_.culprit.signal = SIGKILL;
  EXPECT_THAT(summarise(report_),
              AllOf(HasSubstr("killed by SIGKILL"), HasSubstr("out-of-memory")));
  EXPECT_EQ(hint_for(report_.culprit), [] {
    RankExit from_shell;
    from_shell.exit_code = 137;
    return hint_for(from_shell);
  }()) << "a shell around the program reports 137";
}

TEST_F(Summary, FailureJsonHoldsTheSameAndSurvivesAnyBytes) {
  dir_.write("runs/a/logs/rank-0002/stderr.log", "bad \xff byte\n");
  add_exit(0, 69, 0, RankExit::When::kOnItsOwn);
  write_failure_json(report_);
  EXPECT_THAT(read_text(dir_ / "runs/a/failure.json"),
              AllOf(HasSubstr("\"exit_code\": 65"), HasSubstr("\"role\": \"culprit\""),
                    HasSubstr("\"role\": \"victim\""), HasSubstr("bad \xEF\xBF\xBD byte")));
}

TEST_F(Summary, NamesARankThatDidNotAnswerAndShowsWhatTheOthersSaw) {
  dir_.write("runs/a/logs/rank-0000/stderr.log", "rank 0 waited 2000 ms\n");
  report_.culprit.exit_code = 0;
  report_.culprit.signal = SIGKILL;
  report_.culprit.when = RankExit::When::kAfterKill;
  report_.exits.clear();
  add_exit(0, 69, 0, RankExit::When::kOnItsOwn);
  add_exit(1, 69, 0, RankExit::When::kOnItsOwn);
  add_exit(3, 0, SIGTERM, RankExit::When::kAfterTerm);
  report_.exits.push_back(report_.culprit);
  const std::string text = summarise(report_);
  EXPECT_THAT(text, StartsWith("trireme run: rank 2 of 4 failed: did not answer; host node-a"));
  EXPECT_THAT(text, AllOf(HasSubstr("did not answer either: rank 3; gave up on it: rank 0 (exit "
                                    "code 69), 1 (exit code 69)\n"),
                          HasSubstr("hint: it was stopped, hung"), Not(HasSubstr("memory")),
                          HasSubstr("rank-0002/stderr.log; noticed by rank 0\n"),
                          HasSubstr("  | rank 0 waited 2000 ms\n")));
  write_failure_json(report_);
  EXPECT_THAT(
      read_text(dir_ / "runs/a/failure.json"),
      AllOf(HasSubstr("\"end\": \"did not answer\""), HasSubstr("\"role\": \"did_not_answer\"")));
}

}  // namespace
}  // namespace trireme
