// `trireme` as a child process of the test, in a folder of its own.

#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "launcher/agent/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace trireme::testing {

/// Long enough for a loaded machine; tests that hang fail after it.
inline constexpr std::chrono::seconds kPatience{60};
/// What a failing rank may take to end the gang.
inline constexpr std::chrono::seconds kGangLimit{5};

class Launched {
 public:
  /// Starts `trireme words...` in `folder` with `environment` ("NAME=value") added to the test's.
  Launched(const std::string& folder, const std::vector<std::string>& words,
           const std::vector<std::string>& environment = {});
  /// Starts another program, which is looked for in PATH.
  Launched(const std::string& folder, const std::string& program,
           const std::vector<std::string>& words, const std::vector<std::string>& environment);
  ~Launched();  // kills it if it still runs
  Launched(const Launched&) = delete;

  pid_t pid() const { return pid_; }
  void send(int signal) const;
  /// Returns once stdout or stderr holds `text`; false if it ended or kPatience passed first.
  bool wait_for(const std::string& text);
  /// The exit code as a shell reports it, or -1 if it has not ended within `limit`.
  int wait(std::chrono::milliseconds limit = kPatience);

  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }

 private:
  /// Reads what there is, for at most 50 ms; false once both streams have ended.
  bool pump();

  pid_t pid_ = 0;
  UniqueFd out_fd_;
  UniqueFd err_fd_;
  std::string out_;
  std::string err_;
};

/// `trireme run` with ranks that are shell scripts and that can report to the test.
class RunTest {
 public:
  RunTest();

  /// {"run", flags..., "--", "sh", "-c", script}. Metrics are off unless flags say otherwise.
  static std::vector<std::string> words(std::vector<std::string> flags, const std::string& script);
  const std::string& folder() const { return dir_.path(); }
  /// A log of the newest run.
  std::string log(int rank, const std::string& stream) const;

  /// Ranks write lines to $TEST_REPORT with `echo text > $TEST_REPORT`. Waits for the next such
  /// line; "" after kPatience.
  std::string next_report();
  std::vector<std::string> environment() const { return {"TEST_REPORT=" + dir_ / "report"}; }

 private:
  TempDir dir_;
  UniqueFd reports_;
  std::string pending_;
};

/// "name-<process id>": run ids belong to the whole machine, and tests may run side by side.
std::string unique_run_id(const std::string& name);

/// Waits until the process is gone (not even a zombie); false after kPatience.
bool wait_until_gone(pid_t pid);

}  // namespace trireme::testing
