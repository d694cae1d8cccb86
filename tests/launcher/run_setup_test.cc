// What `trireme run` prepares: flags, environment, cores, run directory, metrics port.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/sanitizer.h"
#include "launcher/agent/cores.h"
#include "tests/launcher/launched.h"

namespace trireme::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class RunSetup : public ::testing::Test {
 protected:
  /// Runs to its end and returns the exit code.
  int run(const std::vector<std::string>& words, std::vector<std::string> environment = {}) {
    for (const std::string& entry : test_.environment()) environment.push_back(entry);
    Launched launched(test_.folder(), words, environment);
    const int code = launched.wait();
    out_ = launched.out();
    err_ = launched.err();
    return code;
  }

  RunTest test_;
  std::string out_;
  std::string err_;
};

TEST_F(RunSetup, GivesEveryRankItsPlace) {
  const std::string id = unique_run_id("place");
  ASSERT_EQ(run(RunTest::words({"-n", "3", "--run-id", id}, "env")), 0) << err_;
  EXPECT_THAT(test_.log(2, "stdout"),
              AllOf(HasSubstr("\nRANK=2\n"), HasSubstr("\nWORLD_SIZE=3\n"),
                    HasSubstr("\nLOCAL_RANK=2\n"), HasSubstr("\nLOCAL_WORLD_SIZE=3\n"),
                    HasSubstr("\nGROUP_RANK=0\n"), HasSubstr("\nROLE_RANK=2\n"),
                    HasSubstr("\nMASTER_ADDR=127.0.0.1\n"), HasSubstr("\nMASTER_PORT=")));
  EXPECT_THAT(
      test_.log(2, "stdout"),
      AllOf(HasSubstr("TRIREME_RANK=2\n"), HasSubstr("TRIREME_WORLD_SIZE=3\n"),
            HasSubstr("TRIREME_LOCAL_RANK=2\n"), HasSubstr("TRIREME_LOCAL_WORLD_SIZE=3\n"),
            HasSubstr("TRIREME_RUN_ID=" + id + "\n"), HasSubstr("TORCHELASTIC_RUN_ID=" + id + "\n"),
            HasSubstr("TRIREME_RUN_DIR=" + test_.folder() + "/runs/" + id + "\n")));
}

TEST_F(RunSetup, TellsRanksTheirDevice) {
  ASSERT_EQ(run(RunTest::words({"-n", "2", "--device", "cuda"}, "env")), 0) << err_;
  EXPECT_THAT(test_.log(1, "stdout"), HasSubstr("TRIREME_DEVICE=cuda\n"));
  ASSERT_EQ(run(RunTest::words({"-n", "1"}, "env"), {"TRIREME_DEVICE=cuda:1"}), 0) << err_;
  EXPECT_THAT(test_.log(0, "stdout"), HasSubstr("TRIREME_DEVICE=cuda:1\n"));
}

TEST_F(RunSetup, NamesTheFlagOrTheVariableThatIsWrong) {
  const auto refuses = [&](std::vector<std::string> flags, std::vector<std::string> environment,
                           const std::string& message) {
    flags.insert(flags.begin(), "run");
    flags.insert(flags.end(), {"--", "true"});
    EXPECT_EQ(run(flags, environment), 64) << message;
    EXPECT_THAT(err_, HasSubstr(message));
  };
  refuses({"--metrics-port", "abc"}, {},
          "--metrics-port must be from 0 to 65535 or off, got 'abc'");
  refuses({}, {"TRIREME_METRICS_PORT=abc"}, "TRIREME_METRICS_PORT must be from 0 to 65535");
  refuses({}, {"TRIREME_METRICS=on"}, "TRIREME_METRICS must be one of auto, launcher, off");
  refuses({"--log-dir", ""}, {}, "--log-dir must name a folder");
  refuses({"--device", "gpu"}, {}, "device: must be cpu, cuda or cuda:N, got 'gpu'");
}

TEST_F(RunSetup, SaysWhichLimitIsTooLow) {
  if (kAddressSanitizer) GTEST_SKIP() << "UBSan finds errors everywhere without a free descriptor";
  ASSERT_EQ(run(RunTest::words({"--log-dir", "outer"}, "ulimit -n 12; \"" TRIREME_PROGRAM
                                                       "\" run --metrics-port off -n 4 true")),
            71);
  EXPECT_THAT(err_, HasSubstr("Too many open files; raise `ulimit -n`\n"));
}

TEST_F(RunSetup, LeavesTheUsersThreadsAloneAndDropsAnOuterMpirun) {
  ASSERT_EQ(run(RunTest::words({}, "env"), {"OMP_NUM_THREADS=7", "OMPI_COMM_WORLD_RANK=5",
                                            "PMIX_NAMESPACE=outer", "RANK=9", "KEPT=yes"}),
            0);
  EXPECT_THAT(out_, AllOf(HasSubstr("OMP_NUM_THREADS=7\n"), Not(HasSubstr("TRIREME_NUM_THREADS")),
                          Not(HasSubstr("OMPI_COMM_WORLD_RANK")), Not(HasSubstr("outer")),
                          HasSubstr("\nRANK=0\n"), HasSubstr("KEPT=yes\n")));
}

TEST_F(RunSetup, BindsRanksToCoresOfTheirOwn) {
  const size_t cores = allowed_cores().size();
  if (cores < 2 || cpu_quota().value_or(cores) < static_cast<double>(cores)) {
    GTEST_SKIP() << "needs two cores without a quota";
  }
  const std::string script = "grep Cpus_allowed_list /proc/self/status; echo $OMP_NUM_THREADS";
  ASSERT_EQ(run(RunTest::words({"-n", "2"}, script)), 0);
  EXPECT_NE(test_.log(0, "stdout"), test_.log(1, "stdout"));
  EXPECT_THAT(test_.log(0, "stdout"), HasSubstr("\n" + std::to_string(cores / 2) + "\n"));
  ASSERT_EQ(run(RunTest::words({"-n", "2", "--bind", "none"}, script)), 0);
  EXPECT_EQ(test_.log(0, "stdout"), test_.log(1, "stdout"));
}

TEST_F(RunSetup, RanksLeadSessionsAndInheritNothingElse) {
  ASSERT_EQ(run(RunTest::words({},
                               "echo $$; cut -d' ' -f5,6 /proc/$$/stat; "
                               "readlink /proc/self/fd/0; ls -x /proc/$$/fd")),
            0);
  const std::string pid = out_.substr(0, out_.find('\n'));
  EXPECT_THAT(out_, StartsWith(concat(pid, "\n", pid, " ", pid, "\n/dev/null\n0  1  2\n")));
}

TEST_F(RunSetup, KeepsLogsAndPointsLatestToTheNewestRun) {
  const std::string first = unique_run_id("first");
  ASSERT_EQ(run(RunTest::words({"--run-id", first}, "echo one")), 0);
  ASSERT_EQ(run(RunTest::words({"--run-id", unique_run_id("second")}, "echo two")), 0);
  EXPECT_EQ(test_.log(0, "stdout"), "two\n");
  ASSERT_EQ(run(RunTest::words({"--run-id", first}, "echo three")), 0);
  EXPECT_EQ(test_.log(0, "stdout"), "one\nthree\n") << "a run that is continued keeps its logs";
}

TEST_F(RunSetup, RefusesARunIdThatIsInUse) {
  const std::string busy = unique_run_id("busy");
  Launched first(test_.folder(), RunTest::words({"--run-id", busy}, "echo up; exec sleep 100"));
  ASSERT_TRUE(first.wait_for("up\n"));
  EXPECT_EQ(run(RunTest::words({"--run-id", busy}, "true")), 64);
  EXPECT_THAT(err_, HasSubstr("a run of this id must not be running, got " + busy));
  first.send(SIGTERM);
  EXPECT_EQ(first.wait(), 128 + SIGTERM);
}

TEST_F(RunSetup, DryRunShowsThePlanAndTouchesNothing) {
  ASSERT_EQ(run(RunTest::words({"-n", "2", "--dry-run"}, "echo started > $TEST_REPORT")), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("rank 1\n"), HasSubstr("  RANK=1\n"), HasSubstr("  cores "),
                          HasSubstr("'echo started > $TEST_REPORT'"),
                          HasSubstr("/logs/rank-0001/stderr.log")));
  EXPECT_FALSE(std::filesystem::exists(test_.folder() + "/runs"));
}

TEST_F(RunSetup, WrongWordsAreUsageErrors) {
  EXPECT_EQ(run({"run", "--grcae", "3", "--", "true"}), 64);
  EXPECT_THAT(err_, HasSubstr("no such flag --grcae; did you mean --grace?"));
  EXPECT_EQ(run({"run", "-n", "0", "--", "true"}), 64);
  EXPECT_THAT(err_, HasSubstr("-n must be at least 1, got 0"));
  EXPECT_EQ(run({"run", "-n", "2"}), 64);
  EXPECT_THAT(err_, HasSubstr("a program to run must follow"));
  EXPECT_EQ(run({"run", "--metrics-port", "99999", "--", "true"}), 64);
  EXPECT_EQ(run({"run", "--run-id", "../up", "--", "true"}), 64);
  EXPECT_THAT(err_, HasSubstr("got '../up'"));
  EXPECT_EQ(run({"rnu"}), 64);
  EXPECT_THAT(err_, HasSubstr("did you mean run?"));
  EXPECT_EQ(run({}), 64);
  EXPECT_FALSE(std::filesystem::exists(test_.folder() + "/runs"));
}

TEST_F(RunSetup, HelpIsNoError) {
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_EQ(run({"run", "--help"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("-n, --ranks N"), HasSubstr("Exit codes"),
                          HasSubstr("TRIREME_RUN_DIR")));
}

TEST_F(RunSetup, ProgramsThatCannotStartKeepTheShellsCodes) {
  TempDir elsewhere;
  const std::string plain = elsewhere.write("plain", "text");
  const std::string bad = elsewhere.write("bad", "#!/no/such/interpreter\n");
  std::filesystem::permissions(bad, std::filesystem::perms::owner_all);
  EXPECT_EQ(run({"run", "-n", "2", "--", "no-such-program"}), 127);
  EXPECT_THAT(err_, HasSubstr("cannot start no-such-program: not found in $PATH"));
  EXPECT_EQ(run({"run", "--", plain}), 126);
  EXPECT_THAT(err_, HasSubstr("it is not an executable file"));
  EXPECT_EQ(run({"run", "--", bad}), 127);
  EXPECT_THAT(err_, HasSubstr("its interpreter or loader does not exist"));
}

TEST_F(RunSetup, ALogFolderThatCannotBeMadeIsOneClearMessage) {
  TempDir elsewhere;
  const std::string blocked = elsewhere.write("file", "") + "/runs";
  EXPECT_EQ(run(RunTest::words({"--log-dir", blocked}, "true")), 71);
  EXPECT_THAT(err_, AllOf(HasSubstr(blocked), HasSubstr("choose another with --log-dir")));
}

TEST_F(RunSetup, AMetricsPortInUseIsAWarningOnly) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(socket.get(), 1), 0);
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
  const std::string port = std::to_string(ntohs(address.sin_port));
  EXPECT_EQ(run(RunTest::words({"--metrics-port", port}, "echo ran")), 0);
  EXPECT_EQ(out_, "ran\n");
  EXPECT_THAT(err_, AllOf(HasSubstr("warning: no metrics"), HasSubstr(port)));
}

TEST_F(RunSetup, ServesMetricsOnAFreePortAndTellsTheRanks) {
  EXPECT_EQ(run(RunTest::words({"--metrics-port", "0"}, "echo $TRIREME_METRICS")), 0);
  EXPECT_EQ(out_, "launcher\n");
  EXPECT_THAT(err_, HasSubstr("metrics http://"));
  EXPECT_EQ(run(RunTest::words({}, "echo $TRIREME_METRICS")), 0);
  EXPECT_EQ(out_, "off\n");
}

}  // namespace
}  // namespace trireme::testing
