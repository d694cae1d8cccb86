#include "core/metrics/progress.h"

#include <gtest/gtest.h>

#include <limits>

namespace trireme {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

ProgressValues some_values() {
  return {.step = 120,
          .total_steps = 2000,
          .loss = 2.34561,
          .learning_rate = 9.8e-4,
          .gradient_norm = 1.02,
          .step_seconds = 0.0351,
          .per_second = 21900};
}

TEST(Progress, LineShowsEverythingInOneRow) {
  EXPECT_EQ(format_progress(some_values()),
            "step 120/2000 | loss 2.3456 | lr 9.8e-04 | norm 1.02 | 35.1 ms | 21,900 tok/s | "
            "eta 1m06s");
}

TEST(Progress, LineLeavesOutWhatIsNotKnown) {
  EXPECT_EQ(format_progress({.step = 5,
                             .total_steps = 5,
                             .loss = kNan,
                             .step_seconds = 0.5,
                             .per_second = 12.34,
                             .unit = "samples"}),
            "step 5/5 | loss nan | 500.0 ms | 12.3 samples/s | eta 0s");
}

TEST(Progress, RatesAreGrouped) {
  EXPECT_EQ(format_rate(0), "0.0");
  EXPECT_EQ(format_rate(99.94), "99.9");
  EXPECT_EQ(format_rate(99.96), "100");
  EXPECT_EQ(format_rate(999.6), "1,000");
  EXPECT_EQ(format_rate(1234567), "1,234,567");
  EXPECT_EQ(format_rate(kNan), "?");
}

TEST(Progress, DurationsHaveTwoUnits) {
  EXPECT_EQ(format_duration(0.4), "0s");
  EXPECT_EQ(format_duration(59.6), "1m00s");
  EXPECT_EQ(format_duration(65), "1m05s");
  EXPECT_EQ(format_duration(2 * 3600 + 3 * 60), "2h03m");
  EXPECT_EQ(format_duration(3 * 86400 + 4 * 3600), "3d04h");
  EXPECT_EQ(format_duration(kNan), "?");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(1e300), "?");
}

TEST(Progress, BarFitsItsColumns) {
  ProgressValues values = some_values();
  values.step = 1000;
  for (const int columns : {45, 60, 80, 200}) {
    const std::string bar = format_progress_bar(values, columns);
    EXPECT_EQ(static_cast<int>(bar.size()), columns);
    EXPECT_NE(bar.find("]  50% step 1000/2000 | eta 35s"), bar.npos) << bar;
  }
  EXPECT_EQ(format_progress_bar(values, 20), " 50% step 1000/2000 ");
  values.step = 2000;
  EXPECT_EQ(format_progress_bar(values, 41), "[==========] 100% step 2000/2000 | eta 0s");
  values.total_steps = 0;
  EXPECT_EQ(format_progress_bar(values, 0), "");
}

TEST(Progress, NoBarWithoutATerminal) {
  ::testing::internal::CaptureStderr();  // stderr is a file now
  EXPECT_FALSE(terminal_wants_bar());
  ProgressReporter reporter;
  reporter.move_bar(some_values());
  reporter.print_line(some_values());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), format_progress(some_values()) + "\n");
}

TEST(Progress, LineReplacesTheBar) {
  ::testing::internal::CaptureStderr();
  {
    ProgressReporter reporter(ProgressReporter::Bar::kYes);
    reporter.move_bar(some_values());
    reporter.move_bar(some_values());  // too soon to draw again
    reporter.print_line(some_values());
  }
  const std::string bar = "\r\033[K" + format_progress_bar(some_values(), 79);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            bar + "\r\033[K" + format_progress(some_values()) + "\n");
}

}  // namespace
}  // namespace trireme
