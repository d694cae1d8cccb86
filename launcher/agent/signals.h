// Signals to the launcher, read like a file instead of interrupting it.

#pragma once

#include <signal.h>

#include "launcher/agent/unique_fd.h"

namespace trireme {

class SignalInbox {
 public:
  /// Blocks SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 in this thread and in
  /// those it starts later, and ignores SIGPIPE. A SIGHUP that is ignored (nohup) stays ignored.
  /// Construct before any thread starts.
  SignalInbox();
  ~SignalInbox();  // restores what was before
  SignalInbox(const SignalInbox&) = delete;

  int fd() const { return fd_.get(); }
  /// The next signal that has arrived, or 0.
  int next();

 private:
  sigset_t previous_;
  struct sigaction previous_pipe_;
  UniqueFd fd_;
};

}  // namespace trireme
