// What ranks print: all of it in files, rank 0's on the console, in whole lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/error.h"
#include "tests/launcher/launched.h"

namespace trireme::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kFloodLines = 50'000;

/// The numbers from 1 to kFloodLines, one a line, as `seq` prints them.
std::string flood() {
  std::ostringstream text;
  for (int i = 1; i <= kFloodLines; ++i) text << i << "\n";
  return text.str();
}

TEST(RunOutput, ShowsOnlyRankZeroAndKeepsStreamsApart) {
  RunTest test;
  Launched launched(test.folder(),
                    RunTest::words({"-n", "2"}, "echo out $RANK; echo err $RANK >&2"));
  ASSERT_EQ(launched.wait(), 0);
  EXPECT_EQ(launched.out(), "out 0\n");
  EXPECT_THAT(launched.err(), HasSubstr("err 0\n"));
  EXPECT_THAT(launched.err(), Not(HasSubstr("err 1\n")));
  EXPECT_EQ(test.log(0, "stdout"), "out 0\n");
  EXPECT_EQ(test.log(0, "stderr"), "err 0\n");
  EXPECT_EQ(test.log(1, "stdout"), "out 1\n");
  EXPECT_EQ(test.log(1, "stderr"), "err 1\n");
}

TEST(RunOutput, LosesNothingOfAFlood) {
  RunTest test;
  const std::string script = concat("seq ", kFloodLines, "; seq ", kFloodLines, " >&2");
  Launched launched(test.folder(), RunTest::words({"-n", "2"}, script));
  ASSERT_EQ(launched.wait(), 0);
  const std::string expected = flood();
  EXPECT_TRUE(launched.out() == expected);
  for (const int rank : {0, 1}) {
    EXPECT_TRUE(test.log(rank, "stdout") == expected) << "rank " << rank;
    EXPECT_TRUE(test.log(rank, "stderr") == expected) << "rank " << rank;
  }
}

TEST(RunOutput, KeepsWholeLinesWhereTwoStreamsMeet) {
  RunTest test;
  // Both streams of rank 0 reach the console in pieces that end anywhere.
  const std::string script =
      "i=0; while [ $i -lt 300 ]; do printf 'out-'; printf 'err-' >&2; "
      "printf '%d\\n' $i; printf '%d\\n' $i >&2; i=$((i+1)); done";
  Launched launched(test.folder(), RunTest::words({}, script));
  ASSERT_EQ(launched.wait(), 0);
  std::istringstream lines(launched.err());
  int next = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("trireme run:")) continue;
    EXPECT_EQ(line, concat("err-", next++));
  }
  EXPECT_EQ(next, 300);
}

TEST(RunOutput, AFailuresLastWordsAreShownThoughOtherRanksAreSilent) {
  RunTest test;
  Launched launched(test.folder(),
                    RunTest::words({"-n", "2"},
                                   "[ $RANK = 0 ] && exec sleep 100; "
                                   "seq 2000 >&2; printf 'the last word' >&2; exit 3"));
  EXPECT_EQ(launched.wait(), 3);
  EXPECT_THAT(launched.err(), HasSubstr("  | 2000\n  | the last word\n"));
  EXPECT_THAT(launched.err(), Not(HasSubstr("| 1981\n")));
}

TEST(RunOutput, AFailuresLastWordsAreThoseOfThisRun) {
  RunTest test;
  const std::string id = unique_run_id("last-words");
  const auto run = [&](const std::string& script) {
    Launched launched(test.folder(), RunTest::words({"--run-id", id}, script));
    launched.wait();
    return launched.err();
  };
  const std::string failure = test.folder() + "/runs/" + id + "/failure.json";
  run("echo old words >&2; exit 3");
  EXPECT_THAT(read_text(failure), HasSubstr("old words"));
  EXPECT_THAT(run("exit 4"), HasSubstr("(it printed nothing)"));
  EXPECT_THAT(read_text(failure), Not(HasSubstr("old words")));
  EXPECT_THAT(run("echo new words; exit 5"), HasSubstr("which ends with\n  | new words\n"));
  run("exit 0");
  EXPECT_FALSE(std::filesystem::exists(failure));
}

TEST(RunOutput, AClosedConsoleDoesNotStopTheRun) {
  RunTest test;
  const std::string script = "trireme=\"$0\"; \"$trireme\" run --metrics-port off -- sh -c 'seq " +
                             std::to_string(kFloodLines) + "; echo ran > $TEST_REPORT' | head -n 1";
  Launched launched(test.folder(),
                    {"run", "--metrics-port", "off", "--", "sh", "-c", script, TRIREME_PROGRAM},
                    test.environment());
  EXPECT_EQ(test.next_report(), "ran");
  EXPECT_EQ(launched.wait(), 0);
  EXPECT_EQ(launched.out(), "1\n");
}

TEST(RunOutput, AConsoleThatNobodyReadsDoesNotStopTheRun) {
  RunTest test;
  const std::string script =
      "{ \"$0\" run --metrics-port off -- sh -c 'seq 400000; echo done > $TEST_REPORT'; "
      "echo left with $? > $TEST_REPORT; } | { until [ -e go ]; do sleep 0.1; done; }";
  Launched launched(test.folder(),
                    {"run", "--metrics-port", "off", "--log-dir", "outer", "--", "sh", "-c", script,
                     TRIREME_PROGRAM},
                    test.environment());
  EXPECT_EQ(test.next_report(), "done");
  EXPECT_EQ(test.next_report(), "left with 0");
  EXPECT_THAT(test.log(0, "stdout"), EndsWith("\n400000\n"));
  std::ofstream(test.folder() + "/go") << "go";
  EXPECT_EQ(launched.wait(), 0);
}

}  // namespace
}  // namespace trireme::testing
