// One stream of a rank: everything to the file, whole lines to the console.
#include "launcher/agent/log_tee.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::trireme::testing::message_of;
using ::trireme::testing::read_text;
using ::trireme::testing::TempDir;

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
      read = UniqueFd(ends[0]);
      write = UniqueFd(ends[1]);
    }
  }
  std::string take() const {
    std::string text(1 << 16, '\0');
    const ssize_t length = ::read(read.get(), text.data(), text.size());
    text.resize(length > 0 ? static_cast<size_t>(length) : 0);
    return text;
  }

  UniqueFd read;
  UniqueFd write;
};

class LogTeeTest : public ::testing::Test {
 protected:
  LogTeeTest() : tee_(std::move(rank_.read), dir_ / "log", &console_, console_) {}

  void print(std::string_view text) {
    ASSERT_EQ(::write(rank_.write.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
    tee_.read_some();
  }
  std::string shown() {
    if (console_.has_text()) console_.write_some();
    return screen_.take();
  }

  TempDir dir_;
  Pipe rank_;
  Pipe screen_;
  Console console_{screen_.write.get()};
  LogTee tee_;
};

TEST_F(LogTeeTest, ShowsWholeLinesOnly) {
  print("one\ntw");
  EXPECT_EQ(shown(), "one\n");
  EXPECT_EQ(read_text(dir_ / "log"), "one\ntw") << "the file does not wait for the line";
  print("o\nthree");
  EXPECT_EQ(shown(), "two\n");
}

TEST_F(LogTeeTest, ACarriageReturnEndsALine) {
  print("10 %\r20");
  EXPECT_EQ(shown(), "10 %\r");
}

TEST_F(LogTeeTest, EndsAnUnfinishedLastLine) {
  print("half");
  rank_.write.reset();
  tee_.read_some();
  EXPECT_TRUE(tee_.at_end());
  EXPECT_EQ(shown(), "half\n");
  EXPECT_EQ(read_text(dir_ / "log"), "half");
}

TEST_F(LogTeeTest, PausesWhileTheConsoleIsFullAndMoves) {
  console_.append(std::string(2 << 20, 'x'));
  EXPECT_EQ(tee_.fd(), -1);
  EXPECT_FALSE(tee_.at_end());
  console_.close();
  EXPECT_NE(tee_.fd(), -1);
}

TEST_F(LogTeeTest, GoesOnWithoutAConsoleThatIsHeld) {
  Pipe rank;
  Console held(screen_.write.get(), std::chrono::milliseconds(0));
  LogTee tee(std::move(rank.read), dir_ / "other", &held, held);
  held.append(std::string(1 << 20, 'x'));
  for (const std::string_view line : {"one\n", "two\n"}) {
    EXPECT_NE(tee.fd(), -1);
    ASSERT_EQ(::write(rank.write.get(), line.data(), line.size()), 4);
    tee.read_some();
  }
  std::string seen;
  while (held.has_text()) {
    held.write_some();
    seen += screen_.take();
  }
  EXPECT_EQ(seen.substr(1 << 20),
            "trireme run: nobody reads this; what ranks print now is in the logs only\n");
  EXPECT_EQ(read_text(dir_ / "other"), "one\ntwo\n");
  ASSERT_EQ(::write(rank.write.get(), "three\n", 6), 6);
  tee.read_some();
  held.write_some();
  EXPECT_EQ(screen_.take(), "three\n") << "it is read again";
}

TEST_F(LogTeeTest, AReaderThatIsGoneDoesNotStopTheLog) {
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
  screen_.read.reset();
  print("one\n");
  console_.write_some();
  EXPECT_FALSE(console_.has_text());
  print("two\n");
  EXPECT_FALSE(console_.has_text());
  EXPECT_EQ(read_text(dir_ / "log"), "one\ntwo\n");
}

TEST(LogTee, NamesTheFileThatCannotBeOpened) {
  Console console(STDERR_FILENO);
  EXPECT_THAT(
      message_of<IoError>([&] { LogTee(UniqueFd(), "/nonexistent/log", nullptr, console); }),
      HasSubstr("/nonexistent/log: No such file or directory"));
}

TEST(LogTee, AFullDiskIsReportedOnceAndTheRankGoesOn) {
  Pipe rank;
  Pipe screen;
  Console console(screen.write.get());
  LogTee tee(std::move(rank.read), "/dev/full", nullptr, console);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(::write(rank.write.get(), "text\n", 5), 5);
    tee.read_some();
  }
  console.write_some();
  EXPECT_EQ(screen.take(),
            "trireme run: warning: log file /dev/full: No space left on device; what follows is "
            "lost\n");
}

}  // namespace
}  // namespace trireme
