#include "core/metrics/exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "core/metrics/stats_page.h"
#include "tests/metrics/http_get.h"
#include "tests/metrics/test_run.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TempDir;

MetricsExporter::Options options_of(const TestRun& run, int port = 0) {
  return {run.id(), "127.0.0.1", port};
}

void fill(StepStats& stats) {
  stats.step = 120;
  stats.steps = 20;
  stats.samples = 240;
  stats.tokens = 15360;
  stats.count_step_duration(0.0035);
  stats.count_step_duration(0.0035);
  stats.count_step_duration(500);
  stats.last_step_unix_seconds = 1.75e9;
  stats.phase_seconds = {0.5, 1, 2, 0.25, 0.125, 0, 0, 4};
  stats.loss = 2.5;
  stats.learning_rate = 1e-3;
  stats.gradient_norm = std::numeric_limits<double>::quiet_NaN();
  stats.comm_operations = 60;
  stats.comm_bytes = 1 << 30;
  stats.comm_busy_seconds = 1.5;
  stats.comm_exposed_seconds = 0.25;
  stats.memory_allocated_bytes = {1, 2, 4, 8, 16, 32, 64};
  stats.memory_reserved_bytes = 4096;
  stats.memory_peak_bytes = 2048;
  stats.last_checkpoint_step = 100;
  stats.last_checkpoint_unix_seconds = 1.7e9;
}

class Exporter : public ::testing::Test {
 protected:
  /// The value of a metric of one rank; more: `,kind="other"`.
  std::string value(const std::string& text, const std::string& name, int rank,
                    const std::string& more = "") const {
    return sample_of(text,
                     concat(name, "{job_id=\"", run_.id(), "\",rank=\"", rank, "\"", more, "}"));
  }
  const TestRun run_{"exporter"};
};

TEST_F(Exporter, ServesEveryNumberOfEveryRank) {
  StatsPage first(run_.rank(0, 2)), second(run_.rank(1, 2));
  fill(first.stats());
  first.publish();
  const MetricsExporter exporter(options_of(run_));
  const HttpAnswer answer = http_get(exporter.port(), "/metrics");
  ASSERT_EQ(answer.status, 200);
  const std::string& text = answer.body;

  const std::pair<const char*, double> expected[] = {
      {"trireme_train_step", 120},
      {"trireme_train_steps_total", 20},
      {"trireme_train_samples_total", 240},
      {"trireme_train_tokens_total", 15360},
      {"trireme_train_last_step_timestamp_seconds", 1.75e9},
      {"trireme_train_loss", 2.5},
      {"trireme_train_learning_rate", 1e-3},
      {"trireme_train_step_duration_seconds_count", 3},
      {"trireme_train_step_duration_seconds_sum", 500.007},
      {"trireme_comm_operations_total", 60},
      {"trireme_comm_bytes_total", 1 << 30},
      {"trireme_comm_busy_seconds_total", 1.5},
      {"trireme_comm_exposed_seconds_total", 0.25},
      {"trireme_memory_reserved_bytes", 4096},
      {"trireme_memory_peak_bytes", 2048},
      {"trireme_checkpoint_last_step", 100},
      {"trireme_checkpoint_last_success_timestamp_seconds", 1.7e9},
      {"trireme_world_size", 2},
      {"trireme_rank_alive", 1},
  };
  for (const auto& [name, number] : expected) {
    const std::string found = value(text, name, 0);
    ASSERT_NE(found, "") << name << " is missing in\n" << text;
    EXPECT_DOUBLE_EQ(std::stod(found), number) << name;
  }
  EXPECT_TRUE(std::isnan(std::stod(value(text, "trireme_train_grad_norm", 0))));
  EXPECT_GT(std::stod(value(text, "trireme_host_memory_rss_bytes", 0)), 100'000);

  for (size_t i = 0; i < kPhases; ++i) {
    const std::string label = concat(",phase=\"", kPhaseNames[i], "\"");
    EXPECT_DOUBLE_EQ(std::stod(value(text, "trireme_train_phase_seconds_total", 0, label)),
                     first.stats().phase_seconds[i]);
  }
  for (size_t i = 0; i < kMemoryKindNames.size(); ++i) {
    const std::string label = concat(",kind=\"", kMemoryKindNames[i], "\"");
    EXPECT_DOUBLE_EQ(std::stod(value(text, "trireme_memory_allocated_bytes", 0, label)), 1 << i);
  }
  const char* bucket = "trireme_train_step_duration_seconds_bucket";
  EXPECT_EQ(value(text, bucket, 0, ",le=\"0.002\""), "0");
  EXPECT_EQ(value(text, bucket, 0, ",le=\"0.004\""), "2");
  EXPECT_EQ(value(text, bucket, 0, ",le=\"131.072\""), "2");
  EXPECT_EQ(value(text, bucket, 0, ",le=\"+Inf\""), "3");

  // What rank 1 has not reported is absent, not zero.
  EXPECT_EQ(value(text, "trireme_train_steps_total", 1), "0");
  EXPECT_EQ(value(text, "trireme_train_loss", 1), "");
  EXPECT_EQ(value(text, "trireme_checkpoint_last_step", 1), "");
  EXPECT_THAT(text, AllOf(HasSubstr("trireme_build_info{"), HasSubstr("version=\""),
                          HasSubstr("trireme_rank_info{"), HasSubstr("local_rank=\"1\"")));
}

TEST_F(Exporter, ServesTheNewestValuesAndOnlyThisRun) {
  const TestRun other("exporter-other");
  StatsPage page(run_.rank(0)), of_other_run(other.rank(7));
  const MetricsExporter exporter(options_of(run_));
  page.stats().steps = 1;
  page.publish();
  EXPECT_EQ(value(http_get(exporter.port(), "/metrics").body, "trireme_train_steps_total", 0), "1");
  page.stats().steps = 2;
  page.publish();
  const std::string text = http_get(exporter.port(), "/metrics").body;
  EXPECT_EQ(value(text, "trireme_train_steps_total", 0), "2");
  EXPECT_THAT(text, Not(HasSubstr("rank=\"7\"")));
}

TEST_F(Exporter, KeepsValuesOfADeadRank) {
  run_.run_rank_that_dies(1, [](StatsPage& page) {
    page.stats().steps = 33;
    page.publish();
  });
  const MetricsExporter exporter(options_of(run_));
  const std::string text = http_get(exporter.port(), "/metrics").body;
  EXPECT_EQ(value(text, "trireme_train_steps_total", 1), "33");
  EXPECT_EQ(value(text, "trireme_rank_alive", 1), "0");
}

TEST_F(Exporter, AnswersBeforeAnyRankIsThere) {
  const MetricsExporter exporter(options_of(run_));
  const HttpAnswer answer = http_get(exporter.port(), "/metrics");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, Not(HasSubstr("trireme_")));
}

TEST_F(Exporter, SatisfiesPromtool) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "promtool is not installed";
  }
  StatsPage page(run_.rank(0));
  fill(page.stats());
  page.publish();
  const MetricsExporter exporter(options_of(run_));
  const TempDir dir;
  for (int scrape = 0; scrape < 2; ++scrape) {  // the second shows the exporter's own numbers too
    const std::string path = dir / "exposition";
    std::FILE* file = std::fopen(path.c_str(), "w");
    std::fputs(http_get(exporter.port(), "/metrics").body.c_str(), file);
    std::fclose(file);
    std::FILE* promtool = ::popen(("promtool check metrics 2>&1 <" + path).c_str(), "r");
    std::string said;
    for (int c; (c = std::fgetc(promtool)) != EOF;) said += static_cast<char>(c);
    EXPECT_EQ(::pclose(promtool), 0) << said;
    EXPECT_EQ(said, "");
  }
}

TEST_F(Exporter, NamesThePortThatIsInUse) {
  const MetricsExporter first(options_of(run_));
  EXPECT_THAT(message_of<Error>([&] { MetricsExporter second(options_of(run_, first.port())); }),
              AllOf(StartsWith("metrics: cannot listen on 127.0.0.1 port "),
                    HasSubstr(std::to_string(first.port())), HasSubstr("TRIREME_METRICS_PORT")));
}

TEST_F(Exporter, RefusesAddressesAndPortsThatAreNone) {
  EXPECT_THAT(message_of<Error>([&] {
                MetricsExporter exporter({run_.id(), "203.0.113.1", 0});
              }),
              HasSubstr("cannot listen on 203.0.113.1 port 0"));
  EXPECT_THAT(message_of<Error>([&] { MetricsExporter exporter(options_of(run_, 65536)); }),
              HasSubstr("port must be in 0 to 65535, got 65536"));
}

TEST_F(Exporter, SaysWhereItServes) {
  const MetricsExporter exporter(options_of(run_));
  EXPECT_EQ(exporter.url(), concat("http://localhost:", exporter.port(), "/metrics"));
}

}  // namespace
}  // namespace trireme
