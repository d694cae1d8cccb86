#include "launcher/stop_wish.h"

#include <time.h>

#include <atomic>
#include <csignal>
#include <cstdint>

namespace trireme {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

volatile std::sig_atomic_t wished = 0;
std::atomic<int64_t> first_interrupt_ns{0};  // 0: none yet
static_assert(std::atomic<int64_t>::is_always_lock_free, "a signal handler uses it");

void note_wish(int) { wished = 1; }

void note_interrupt(int) {
  wished = 1;
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t now_ns = now.tv_sec * kNsPerSecond + now.tv_nsec;
  int64_t first_ns = 0;
  if (first_interrupt_ns.compare_exchange_strong(first_ns, now_ns)) return;
  if (now_ns - first_ns < kNsPerSecond) return;
  // A program that hangs can still be ended by hand: the default acts when this handler returns.
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void watch_for_stop_signals() {
  handle(SIGUSR1, note_wish);
  handle(SIGTERM, note_wish);
  handle(SIGINT, note_interrupt);
  struct sigaction before = {};
  sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) handle(SIGHUP, note_wish);
}

bool stop_wished() { return wished != 0; }

}  // namespace trireme
