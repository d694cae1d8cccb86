// Which rank is to blame when a gang has ended, and with which code the launcher leaves.
//
// Pure arithmetic on what was observed, so every case is a unit test.

#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme {

/// How one rank ended, in the order in which ranks were seen to end.
struct RankExit {
  enum class When {
    kOnItsOwn,   // before the launcher ended the gang
    kAfterTerm,  // after SIGTERM because another rank had failed, or time was up
    kAfterKill,  // after SIGKILL by the launcher
  };
  int rank = 0;
  pid_t pid = 0;
  int exit_code = 0;   // if signal is 0
  int signal = 0;      // that ended it
  double seconds = 0;  // since the start of the gang
  When when = When::kOnItsOwn;

  bool succeeded() const { return signal == 0 && exit_code == 0; }
  /// As a shell reports it: 128 + signal, else the exit code.
  int code() const { return signal ? 128 + signal : exit_code; }
};

/// What was asked of the gang from outside.
struct Request {
  std::optional<int> stop_signal;  // the first SIGINT, SIGTERM, SIGUSR1 ... that was forwarded
  bool timed_out = false;          // --timeout
};

struct Verdict {
  int exit_code = 0;                // of the launcher
  std::optional<RankExit> culprit;  // the rank to blame; none if none failed
};

/// How much a failure says about its cause; the lowest is blamed first.
enum class FailureClass {
  kCrash,    // a signal that nobody sends by accident: SIGSEGV, SIGBUS, SIGKILL ...
  kFailure,  // another signal or exit code
  kVictim,   // exit code 69: lost its peer
};
FailureClass classify(const RankExit& exit);

/// True if this rank's end needs an explanation: it failed on its own, and not because of
/// `request`. Exit code 75 (stopped after a checkpoint) is no failure.
bool is_failure(const RankExit& exit, const Request& request);

/// True if the others gave up on this rank: it still ran when they had ended. What ended it then
/// was the launcher, so its code and signal say nothing.
inline bool did_not_answer(const RankExit& culprit) {
  return culprit.when != RankExit::When::kOnItsOwn;
}

/// The culprit is the failure of the lowest class, among equals the first. If all failures are
/// victims and some ranks had not ended on their own, those are what the victims waited for: the
/// lowest of them is the culprit, and the code is the victims'. Otherwise the code is the
/// culprit's; without one 124 if time was up, 75 if a stop was asked for (or some rank left with
/// 75) and every rank left with 0 or 75, 128 + n if they died of the stop signal n, else 0.
Verdict judge(std::span<const RankExit> exits, const Request& request);

}  // namespace trireme
