#include "core/checkpoint/state_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

TEST(StateValues, NumbersComeBackExactly) {
  StateValues values;
  values.set_int("seed", static_cast<int64_t>(0xFFFFFFFFFFFFFFFE));
  values.set_int("step", std::numeric_limits<int64_t>::max());
  values.set_double("third", 1.0 / 3);
  values.set_double("whole", 3.0);
  values.set_double("tiny", 5e-324);
  values.set_double("best", INFINITY);
  values.set_double("worst", -INFINITY);
  values.set_double("nothing", NAN);
  values.set_string("schedule", "cosine \"quoted\"\n");
  const StateValues read = StateValues::from_json(values.to_json(), "state.json");
  EXPECT_EQ(static_cast<uint64_t>(read.get_int("seed")), 0xFFFFFFFFFFFFFFFE);
  EXPECT_EQ(read.get_int("step"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(read.get_double("third"), 1.0 / 3);
  EXPECT_EQ(read.get_double("whole"), 3.0);
  EXPECT_EQ(read.get_double("tiny"), 5e-324);
  EXPECT_EQ(read.get_double("best"), INFINITY);
  EXPECT_EQ(read.get_double("worst"), -INFINITY);
  EXPECT_TRUE(std::isnan(read.get_double("nothing")));
  EXPECT_EQ(read.get_string("schedule"), "cosine \"quoted\"\n");
  EXPECT_TRUE(read.has("step"));
  EXPECT_FALSE(read.has("epoch"));
}

TEST(StateValues, NamesWhatIsMissingOrOfAnotherKind) {
  StateValues values;
  values.set_string("schedule", "cosine");
  values.set_double("lr", 0.1);
  EXPECT_THAT(message_of<DataError>([&] { values.get_int("step"); }), HasSubstr("hold 'step'"));
  EXPECT_THAT(message_of<DataError>([&] { values.get_int("lr"); }), HasSubstr("'lr'"));
  EXPECT_THAT(message_of<DataError>([&] { values.get_double("schedule"); }),
              HasSubstr("'schedule' must be a number"));
  EXPECT_THAT(message_of<DataError>([&] { values.get_string("lr"); }), HasSubstr("'lr'"));
}

TEST(StateValues, RefusesOtherJson) {
  for (const char* text : {"", "[]", "{\"a\":", "{\"a\":[1]}", "{\"a\":null}"}) {
    EXPECT_THAT(message_of<DataError>([&] { StateValues::from_json(text, "some/state.json"); }),
                HasSubstr("some/state.json"));
  }
}

}  // namespace
}  // namespace trireme
