#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

#include <nlohmann/json.hpp>

#include "core/metrics/jsonl_sink.h"
#include "core/metrics/run_summary.h"
#include "tests/support/message_of.h"
#include "tests/support/system_calls.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::read_text;
using testing::TempDir;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Sinks : public ::testing::Test {
 protected:
  std::string path(const char* name) const { return dir_ / name; }
  const TempDir dir_;
};

TEST_F(Sinks, JsonlWritesOneObjectPerLineAtOnce) {
  JsonlSink sink(path("m.jsonl"));
  sink.write({{"step", 10}, {"loss", 2.5}, {"phase", "train"}});
  EXPECT_EQ(read_text(path("m.jsonl")), "{\"step\":10,\"loss\":2.5,\"phase\":\"train\"}\n");
  sink.write(std::vector<JsonField>{{"step", int64_t{1} << 40}});
  EXPECT_THAT(read_text(path("m.jsonl")), HasSubstr("\n{\"step\":1099511627776}\n"));
}

TEST_F(Sinks, JsonlStaysValidWhateverTheNumbersAre) {
  JsonlSink sink(path("m.jsonl"));
  sink.write({{"a", kNan}, {"b", kInfinity}, {"c", -kInfinity}, {"d", "\xff\"\n"}});
  const auto line = nlohmann::json::parse(read_text(path("m.jsonl")));
  EXPECT_TRUE(line["a"].is_null() && line["b"].is_null() && line["c"].is_null());
  EXPECT_TRUE(line["d"].is_string());
}

TEST_F(Sinks, JsonlAppendsAndDropsAnUnfinishedLine) {
  const std::string file = path("m.jsonl");
  std::ofstream(file) << "{\"step\":1}\n{\"step\":2,\"lo";
  JsonlSink(file).write({{"step", 2}});
  EXPECT_EQ(read_text(file), "{\"step\":1}\n{\"step\":2}\n");

  std::ofstream(file) << std::string(10'000, 'x');  // no line at all, longer than one block
  JsonlSink(file).write({{"step", 3}});
  EXPECT_EQ(read_text(file), "{\"step\":3}\n");
}

TEST_F(Sinks, JsonlOutlivesAFullDisk) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "/dev/full is not writable here";
  JsonlSink sink("/dev/full");
  ::testing::internal::CaptureStderr();
  sink.write({{"step", 1}});
  sink.write({{"step", 2}});
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, AllOf(HasSubstr("/dev/full"), HasSubstr("No space left")));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
}

TEST_F(Sinks, JsonlNamesAPathItCannotOpen) {
  const std::string file = path("absent/m.jsonl");
  EXPECT_THAT(message_of<Error>([&] { JsonlSink sink(file); }),
              AllOf(HasSubstr("metrics: cannot write " + file), HasSubstr("No such file")));
}

TEST_F(Sinks, SummaryHoldsWhatAppliesAndNothingElse) {
  const std::string file = path("summary.json");
  write_run_summary(file, {.final_loss = 1.5, .steps = 9});
  RunSummary summary{.final_loss = 1.25,
                     .val_loss = kNan,
                     .tokens_per_second = 21900,
                     .steps = 2000,
                     .world_size = 2,
                     .wall_seconds = 61.5,
                     .peak_memory_bytes = 123};
  testing::take_synced();
  write_run_summary(file, summary);  // replaces the first
  EXPECT_EQ(testing::take_synced().back(), dir_.path()) << "the new name is durable";
  const auto json = nlohmann::json::parse(read_text(file));
  EXPECT_EQ(json, nlohmann::json({{"final_loss", 1.25},
                                  {"val_loss", nullptr},
                                  {"tokens_per_second", 21900.0},
                                  {"steps", 2000},
                                  {"world_size", 2},
                                  {"wall_seconds", 61.5},
                                  {"peak_memory_bytes", 123}}));
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, ElementsAre("summary.json"));  // no temporary file stays
}

TEST_F(Sinks, SummaryNamesAPathItCannotWrite) {
  const std::string absent = path("absent/summary.json");
  EXPECT_THAT(message_of<Error>([&] { write_run_summary(absent, {}); }),
              AllOf(HasSubstr("summary: cannot write " + absent), HasSubstr("No such file")));
  std::filesystem::create_directory(path("taken"));
  EXPECT_THAT(message_of<Error>([&] { write_run_summary(path("taken"), {}); }),
              HasSubstr("Is a directory"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1);
}

}  // namespace
}  // namespace trireme
