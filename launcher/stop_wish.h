// SIGTERM, SIGINT, SIGHUP and SIGUSR1 ask a training program to stop at the next step boundary,
// after a checkpoint. The wish is only noted here; ranks agree on it through the control channel.
//
// One event often brings several copies of a signal: systemd and Slurm signal every process of a
// job, and the launcher passes on what it gets. So a repeated signal is the same wish, and only a
// second Ctrl-C that a person must have pressed ends the process.

#pragma once

namespace trireme {

/// Installs the handlers. A SIGINT a second or more after the first ends the process at once. A
/// SIGHUP that is ignored (nohup) stays ignored.
void watch_for_stop_signals();

/// True once one of the signals has arrived.
bool stop_wished();

}  // namespace trireme
