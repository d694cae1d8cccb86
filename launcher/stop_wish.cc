#include "launcher/stop_wish.h"

#include <csignal>

namespace trireme {
namespace {

volatile std::sig_atomic_t wished = 0;

void note_wish(int) { wished = 1; }

}  // namespace

void watch_for_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = note_wish;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  // The second time the default acts, so that a program that hangs can still be ended.
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

bool stop_wished() { return wished != 0; }

}  // namespace trireme
