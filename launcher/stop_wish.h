// SIGTERM, SIGINT and SIGUSR1 ask a training program to stop at the next step boundary, after a
// checkpoint. The wish is only noted here; ranks agree on it through the control channel.

#pragma once

namespace trireme {

/// Installs the handlers. A second SIGINT or SIGTERM ends the process at once.
void watch_for_stop_signals();

/// True once one of the signals has arrived.
bool stop_wished();

}  // namespace trireme
