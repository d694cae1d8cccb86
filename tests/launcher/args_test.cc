// Flags: values, ranges, suggestions, help; and errors to exit codes.
#include "launcher/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "distributed/env.h"
#include "distributed/exit_code_of.h"
#include "launcher/suggest.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::trireme::testing::message_of;
using namespace std::chrono_literals;

struct Options {
  int64_t steps = 100;
  int ranks = 1;
  double lr = 0.001;
  std::string optimizer = "adamw";
  std::string data;
  bool sample = false;
  std::chrono::milliseconds limit{90'000};
};

class Args : public ::testing::Test {
 protected:
  Args() : parser_("tool", "[flags]", "Does something.") {
    parser_.section("Training");
    parser_.add("--steps", &options_.steps, "optimizer steps").at_least(1);
    parser_.add("--ranks", &options_.ranks, "how many").alias("-n").at_least(1).at_most(64);
    parser_.add("--lr", &options_.lr, "learning rate").above(0);
    parser_.add("--optimizer", &options_.optimizer, "update rule").one_of({"adamw", "sgd"});
    parser_.add("--sample", &options_.sample, "print a sample");
    parser_.add("--limit", &options_.limit, "give up after this time");
  }

  Parsed parse(std::vector<std::string> words) { return parser_.parse(words); }
  std::string error_of(std::vector<std::string> words) {
    return message_of<InvalidArgument>([&] { parser_.parse(words); });
  }

  Options options_;
  ArgParser parser_;
};

TEST_F(Args, AFlagOfAnotherChoiceIsAnErrorInAnyOrder) {
  double momentum = 0;
  parser_.add("--momentum", &momentum, "of sgd")
      .only_with("--optimizer", &options_.optimizer, {"sgd", "lars"});
  parse({"--momentum", "0.9", "--optimizer", "sgd"});
  EXPECT_EQ(momentum, 0.9);
  EXPECT_THAT(
      error_of({"--optimizer", "adamw"}),
      HasSubstr("--momentum is read with --optimizer sgd, lars only, got --optimizer adamw"));
}

TEST_F(Args, KeepsDefaultsOfFlagsThatAreNotGiven) {
  parse({});
  EXPECT_EQ(options_.steps, 100);
  EXPECT_EQ(options_.optimizer, "adamw");
  EXPECT_FALSE(parser_.was_given("--steps"));
}

TEST_F(Args, ReadsBothSpellingsOfAValue) {
  parse(
      {"--steps", "20", "--lr=3e-4", "-n", "4", "--optimizer=sgd", "--sample", "--limit", "1.5m"});
  EXPECT_EQ(options_.steps, 20);
  EXPECT_EQ(options_.lr, 3e-4);
  EXPECT_EQ(options_.ranks, 4);
  EXPECT_EQ(options_.optimizer, "sgd");
  EXPECT_TRUE(options_.sample);
  EXPECT_EQ(options_.limit, 90s);
  EXPECT_TRUE(parser_.was_given("-n"));
  EXPECT_TRUE(parser_.was_given("--ranks"));
}

TEST_F(Args, AFlagIsNoValue) {
  EXPECT_THAT(error_of({"--optimizer", "--steps", "5"}),
              HasSubstr("--optimizer needs a value: --optimizer TEXT, got the flag --steps"));
  EXPECT_THAT(error_of({"--limit", "-n", "5"}), HasSubstr("--limit needs a value"));
  EXPECT_THAT(error_of({"--steps", "-5"}), HasSubstr("must be at least 1, got -5"));
}

TEST_F(Args, LastOfSeveralWinsAndBoolsCanBeUnset) {
  parse({"--steps=1", "--steps=2", "--sample", "--sample=false"});
  EXPECT_EQ(options_.steps, 2);
  EXPECT_FALSE(options_.sample);
}

TEST_F(Args, SuggestsTheNearestFlag) {
  EXPECT_EQ(error_of({"--stpes", "3"}),
            "tool: no such flag --stpes; did you mean --steps? (see `tool --help`)");
  EXPECT_THAT(error_of({"--opt=sgd"}), HasSubstr("did you mean --optimizer?"));
  EXPECT_THAT(error_of({"--frobnicate"}), Not(HasSubstr("did you mean")));
}

TEST_F(Args, NamesTheFlagAndWhatItTakes) {
  EXPECT_THAT(error_of({"--steps", "many"}),
              HasSubstr("--steps must be a whole number, got 'many'"));
  EXPECT_THAT(error_of({"--steps", "1.5"}), HasSubstr("got '1.5'"));
  EXPECT_THAT(error_of({"--steps", "99999999999999999999"}), HasSubstr("whole number"));
  EXPECT_THAT(error_of({"--steps", "0"}), HasSubstr("--steps must be at least 1, got 0"));
  EXPECT_THAT(error_of({"-n", "65"}), HasSubstr("-n must be at most 64, got 65"));
  EXPECT_THAT(error_of({"--lr", "0"}), HasSubstr("--lr must be above 0, got 0"));
  EXPECT_THAT(error_of({"--lr", "nan"}), HasSubstr("finite"));
  EXPECT_THAT(error_of({"--optimizer", "adam"}),
              AllOf(HasSubstr("one of adamw, sgd, got 'adam'"), HasSubstr("did you mean adamw?")));
  EXPECT_THAT(error_of({"--sample=perhaps"}), HasSubstr("true or false, got 'perhaps'"));
  EXPECT_THAT(error_of({"--limit", "5 parsecs"}), HasSubstr("a time such as 90"));
  EXPECT_THAT(error_of({"--steps"}), HasSubstr("--steps needs a value: --steps N"));
  EXPECT_THAT(error_of({"stray"}), HasSubstr("takes flags only, got 'stray'"));
}

TEST_F(Args, RequiredFlagsMustBeGiven) {
  parser_.add("--data", &options_.data, "file to train on").value_name("PATH").required();
  EXPECT_THAT(error_of({}), HasSubstr("--data PATH is missing: file to train on"));
  EXPECT_TRUE(parse({"--help"}).wants_help) << "help needs no required flag";
}

TEST_F(Args, KeepsTheCommandAsItIs) {
  parser_.accept_command();
  EXPECT_THAT(parse({"-n", "2", "--", "prog", "--steps", "--", "x"}).rest,
              ElementsAre("prog", "--steps", "--", "x"));
  EXPECT_EQ(options_.ranks, 2);
  EXPECT_EQ(options_.steps, 100);
}

TEST_F(Args, ACommandMayFollowWithoutDashes) {
  parser_.accept_command();
  EXPECT_THAT(parse({"--sample", "prog", "--help"}).rest, ElementsAre("prog", "--help"));
}

TEST_F(Args, HelpShowsNamesDefaultsAndChoices) {
  EXPECT_THAT(parser_.help(),
              AllOf(HasSubstr("Usage: tool [flags]"), HasSubstr("Training:"),
                    HasSubstr("-n, --ranks N"), HasSubstr("optimizer steps (default 100)"),
                    HasSubstr("--optimizer adamw|sgd"), HasSubstr("(default 90s)")));
}

TEST(Suggest, CountsEdits) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", "abc"), 0);
  EXPECT_EQ(edit_distance("abcd", "acbd"), 1) << "a swap of neighbours is one edit";
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(ExitCodeOf, FollowsTheTable) {
  using Kind = CommError::Kind;
  EXPECT_EQ(exit_code_of(InvalidArgument("x")), 64);
  EXPECT_EQ(exit_code_of(DataError("x")), 65);
  EXPECT_EQ(exit_code_of(CommError(Kind::kPeerLost, "x")), 69);
  EXPECT_EQ(exit_code_of(CommError(Kind::kMismatch, "x")), 69);
  EXPECT_EQ(exit_code_of(CommError(Kind::kSystem, "x")), 71);
  EXPECT_EQ(exit_code_of(IoError("x")), 71);
  EXPECT_EQ(exit_code_of(OutOfMemory("x")), 71);
  EXPECT_EQ(exit_code_of(std::bad_alloc()), 71);
  EXPECT_EQ(exit_code_of(EnvironmentError("x")), 78);
  EXPECT_EQ(exit_code_of(InternalError("x")), 70);
  EXPECT_EQ(exit_code_of(Error("x")), 1);
  EXPECT_EQ(exit_code_of(std::runtime_error("x")), 1);
  try {
    TRIREME_ASSERT(1 > 2);
  } catch (const std::exception& error) {
    EXPECT_EQ(exit_code_of(error), 70);
  }
}

}  // namespace
}  // namespace trireme
