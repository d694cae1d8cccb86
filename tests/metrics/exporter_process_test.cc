#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "core/metrics/exporter.h"
#include "core/metrics/spawn_exporter.h"
#include "tests/metrics/http_get.h"
#include "tests/metrics/test_run.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;

ExporterProcessOptions options_of(const TestRun& run, int port = 0) {
  return {.run_id = run.id(), .address = "127.0.0.1", .port = port, .program = TRIREME_PROGRAM};
}

int port_in(const std::string& url) { return std::atoi(url.c_str() + url.rfind(':') + 1); }

/// Waits until the process, any process, has ended; false after 30 s.
bool wait_for_end(pid_t pid) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return errno == ESRCH;
  pollfd process{fd, POLLIN, 0};
  const bool has_ended = ::poll(&process, 1, 30'000) == 1;
  ::close(fd);
  return has_ended;
}

/// Starts an exporter in vain and returns what was said about it.
std::string warning_of(const ExporterProcessOptions& options) {
  ::testing::internal::CaptureStderr();
  const auto exporter = start_exporter_process(options);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(exporter, nullptr);
  return said;
}

TEST(ExporterProcess, ServesUntilItsHandleGoes) {
  const TestRun run("process");
  StatsPage page(run.rank(0));
  page.stats().steps = 12;
  page.publish();
  auto exporter = start_exporter_process(options_of(run));
  ASSERT_NE(exporter, nullptr);
  const int port = port_in(exporter->url());
  EXPECT_THAT(http_get(port, "/metrics").body, HasSubstr("trireme_train_steps_total"));
  const pid_t pid = exporter->pid();
  exporter.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(http_get(port, "/metrics").status, 0);
}

TEST(ExporterProcess, EndsWithAKilledParentAndSweepsItsPage) {
  const TestRun run("orphan");
  int report[2];
  ASSERT_EQ(::pipe2(report, O_CLOEXEC), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    StatsPage page(run.rank(0));
    const auto exporter = start_exporter_process(options_of(run));
    const pid_t pid = exporter ? exporter->pid() : -1;
    if (::write(report[1], &pid, sizeof pid) != sizeof pid) ::_exit(1);
    ::raise(SIGKILL);
  }
  ::close(report[1]);
  pid_t exporter = -1;
  ASSERT_EQ(::read(report[0], &exporter, sizeof exporter), static_cast<ssize_t>(sizeof exporter));
  ::close(report[0]);
  ::waitpid(parent, nullptr, 0);
  ASSERT_GT(exporter, 0);
  EXPECT_TRUE(wait_for_end(exporter));
  EXPECT_TRUE(read_stats_pages(run.id()).empty());
}

TEST(ExporterProcess, EndsWhenEveryRankItHasSeenIsGone) {
  const TestRun run("all-gone");
  auto page = std::make_unique<StatsPage>(run.rank(0));
  const auto exporter = start_exporter_process(options_of(run));
  ASSERT_NE(exporter, nullptr);
  // A scrape proves nothing about the watch, but the watch looks before it listens.
  EXPECT_EQ(http_get(port_in(exporter->url()), "/metrics").status, 200);
  page.reset();
  EXPECT_TRUE(wait_for_end(exporter->pid()));
}

TEST(ExporterProcess, FailureIsAWarningWithTheReason) {
  const TestRun run("failure");
  const MetricsExporter taken({run.id(), "127.0.0.1", 0});
  EXPECT_THAT(warning_of(options_of(run, taken.port())),
              AllOf(HasSubstr("training goes on without metrics"),
                    HasSubstr(concat("port ", taken.port()))));
  ExporterProcessOptions options = options_of(run);
  options.program = "/nonexistent/trireme";
  EXPECT_THAT(warning_of(options),
              AllOf(HasSubstr("/nonexistent/trireme"), HasSubstr("No such file")));
  options.program = "/bin/true";
  EXPECT_THAT(warning_of(options), HasSubstr("/bin/true did not start"));
}

TEST(ExporterProcess, IsWantedOnlyWhereNobodyElseServes) {
  ::unsetenv("TRIREME_METRICS");
  EXPECT_TRUE(wants_exporter_process());
  ::setenv("TRIREME_METRICS", "launcher", 1);
  EXPECT_FALSE(wants_exporter_process());
  ::setenv("TRIREME_METRICS", "off", 1);
  EXPECT_FALSE(wants_exporter_process());
  ::setenv("TRIREME_METRICS", "on", 1);
  EXPECT_THAT(message_of<Error>([] { wants_exporter_process(); }),
              HasSubstr("TRIREME_METRICS must be one of auto, launcher, off, got 'on'"));
  ::unsetenv("TRIREME_METRICS");
}

}  // namespace
}  // namespace trireme
