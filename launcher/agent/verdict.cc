#include "launcher/agent/verdict.h"

#include <algorithm>
#include <csignal>

#include "core/base/exit_code.h"

namespace trireme {

FailureClass classify(const RankExit& exit) {
  switch (exit.signal) {
    case 0:
      return exit.exit_code == kExitUnavailable ? FailureClass::kVictim : FailureClass::kFailure;
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGKILL:
    case SIGSYS:
      return FailureClass::kCrash;
    default:  // SIGABRT too: an error that nobody caught, perhaps the loss of a peer
      return FailureClass::kFailure;
  }
}

bool is_failure(const RankExit& exit, const Request& request) {
  if (exit.succeeded() || exit.code() == kExitStopped) return false;
  if (exit.when != RankExit::When::kOnItsOwn) return false;
  return !request.stop_signal || exit.code() != kExitSignalBase + *request.stop_signal;
}

Verdict judge(std::span<const RankExit> exits, const Request& request) {
  Verdict verdict;
  bool all_left_well = true;
  bool some_stopped = request.stop_signal.has_value();
  bool died_of_stop = false;
  for (const RankExit& exit : exits) {
    const bool left_well = exit.succeeded() || exit.code() == kExitStopped;
    all_left_well &= left_well;
    some_stopped |= exit.code() == kExitStopped;
    if (is_failure(exit, request)) {
      if (!verdict.culprit || classify(exit) < classify(*verdict.culprit)) verdict.culprit = exit;
    } else if (request.stop_signal && !left_well) {
      died_of_stop = true;
    }
  }
  // Ranks that lost a peer which died of the stop signal are no failures of their own.
  if (died_of_stop && verdict.culprit && classify(*verdict.culprit) == FailureClass::kVictim) {
    verdict.culprit.reset();
  }
  if (verdict.culprit) {
    verdict.exit_code = verdict.culprit->code();
    if (classify(*verdict.culprit) == FailureClass::kVictim) {
      for (const RankExit& exit : exits) {
        const bool is_lower =
            !did_not_answer(*verdict.culprit) || exit.rank < verdict.culprit->rank;
        if (did_not_answer(exit) && is_lower) verdict.culprit = exit;
      }
    }
  } else if (request.timed_out) {
    verdict.exit_code = kExitTimeout;
  } else if (some_stopped) {
    verdict.exit_code = all_left_well ? kExitStopped : kExitSignalBase + *request.stop_signal;
  }
  return verdict;
}

}  // namespace trireme
