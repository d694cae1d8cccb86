#include "launcher/agent/gang.h"

#include <poll.h>
#include <sys/wait.h>

#include <algorithm>

#include "core/base/error.h"
#include "launcher/agent/descendants.h"

namespace trireme {
namespace {

using namespace std::chrono_literals;

// A rank that only lost its peer is often seen to end before the peer is: wait for that one.
constexpr auto kSettle = 200ms;
constexpr auto kSettleVictims = 1000ms;
// With the times above, a failure ends the gang in less than 4 s.
constexpr auto kFailureGrace = 2500ms;
// For what ranks leave behind when they end well.
constexpr auto kOrphanGrace = 1000ms;
// SIGKILL acts at once, except on a process that hangs in the kernel.
constexpr auto kKillPatience = 2000ms;

}  // namespace

Gang::Gang(SignalInbox& signals, Console& out, Console& err, const GangLimits& limits)
    : signals_(signals), out_(out), err_(err), limits_(limits) {
  if (limits_.timeout > 0ms) time_up_ = started_ + limits_.timeout;
}

Gang::~Gang() {
  const auto until = Clock::now() + kKillPatience;
  while (has_children_ && Clock::now() < until) {
    signal_all(SIGKILL);
    ::poll(nullptr, 0, kRescanMs);
    reap();
  }
}

void Gang::run(const std::vector<RankStart>& ranks, const std::function<void()>& on_started) {
  members_.reserve(ranks.size());
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const RankStart& start_of = ranks[rank];
    Started process = start(start_of.command);
    has_children_ = true;
    const pid_t pid = process.pid;
    try {
      Console* const out = start_of.is_shown ? &out_ : nullptr;
      Console* const err = start_of.is_shown ? &err_ : nullptr;
      members_.push_back({static_cast<int>(rank), pid,
                          LogTee(std::move(process.out), start_of.stdout_log, out, err_),
                          LogTee(std::move(process.err), start_of.stderr_log, err, err_)});
    } catch (...) {
      ::kill(-pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      throw;
    }
  }
  on_started();
  loop();
}

void Gang::loop() {
  while (!is_over()) {
    act_on_deadlines();
    wait_for_events();
  }
}

bool Gang::is_over() const {
  const auto at_end = [](const Member& m) { return m.out.at_end() && m.err.at_end(); };
  return !unkillable_.empty() || (!has_children_ && std::ranges::all_of(members_, at_end));
}

std::vector<LogsBegin> Gang::logs_begin() const {
  std::vector<LogsBegin> begins;
  for (const Member& member : members_) begins.push_back({member.out.begin(), member.err.begin()});
  return begins;
}

int Gang::live_ranks() const {
  return static_cast<int>(std::ranges::count_if(members_, [](auto& m) { return m.pid != 0; }));
}

void Gang::handle_signal(int signal) {
  if (signal == SIGCHLD) {
    reap();
  } else if (signal == SIGUSR2) {
    signal_all(signal);
  } else {
    request_stop(signal);
  }
}

void Gang::request_stop(int signal) {
  // `timeout`, some terminals, and whoever signals every process of a job deliver it several times.
  constexpr auto kOneEvent = 250ms;
  const auto now = Clock::now();
  if (!has_children_) {  // only a console that nobody reads keeps us
    out_.close();
    err_.close();
    return;
  }
  const auto [first, is_new] = stops_.try_emplace(signal, now);
  if (!is_new && now - first->second < kOneEvent) return;
  if (!is_new && signal == SIGINT) {
    kill_gang();
    return;
  }
  if (!request_.stop_signal) request_.stop_signal = signal;
  signal_all(signal);
  // SIGUSR1 is a wish: the gang leaves at its next step boundary, however far that is.
  if (signal != SIGUSR1 && !kill_at_) kill_at_ = now + limits_.grace;
}

void Gang::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid == 0) break;
    if (pid < 0) {
      has_children_ = false;
      return;
    }
    const auto member = std::ranges::find(members_, pid, &Member::pid);
    if (member != members_.end()) note_exit(*member, status);
  }
  if (live_ranks() == 0 && !kill_at_ && phase_ != RankExit::When::kAfterKill) {
    // What a wrapper script leaves behind may still be stopping as asked.
    const auto grace = request_.stop_signal ? limits_.grace : kOrphanGrace;
    signal_all(SIGTERM);
    kill_at_ = Clock::now() + grace;
  }
}

void Gang::note_exit(Member& member, int status) {
  const auto now = Clock::now();
  RankExit exit;
  exit.rank = member.rank;
  exit.pid = std::exchange(member.pid, 0);
  exit.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  exit.seconds = std::chrono::duration<double>(now - started_).count();
  exit.when = phase_;
  exits_.push_back(exit);
  if (!is_failure(exit, request_)) return;
  const bool is_victim = classify(exit) == FailureClass::kVictim;
  const auto settled = now + (is_victim ? kSettleVictims : kSettle);
  end_at_ = std::min(end_at_.value_or(settled), settled);
}

void Gang::act_on_deadlines() {
  const auto now = Clock::now();
  const auto is_due = [now](const auto& deadline) { return deadline && *deadline <= now; };
  if (is_due(time_up_)) {
    time_up_.reset();
    request_.timed_out = true;
    phase_ = RankExit::When::kAfterTerm;
    signal_all(SIGTERM);
    kill_at_ = std::min(kill_at_.value_or(now + limits_.grace), now + limits_.grace);
  }
  if (is_due(end_at_)) {
    end_at_.reset();
    if (phase_ == RankExit::When::kOnItsOwn) end_gang();
  }
  if (is_due(kill_at_)) kill_gang();
  if (is_due(give_up_at_)) give_up();
  // A process may have been born while its parent was being killed.
  if (phase_ == RankExit::When::kAfterKill && has_children_) signal_all(SIGKILL);
}

void Gang::end_gang() {
  phase_ = RankExit::When::kAfterTerm;
  signal_all(SIGTERM);
  const auto latest = Clock::now() + kFailureGrace;
  kill_at_ = std::min(kill_at_.value_or(latest), latest);
}

void Gang::kill_gang() {
  phase_ = RankExit::When::kAfterKill;
  kill_at_.reset();
  if (!give_up_at_) give_up_at_ = Clock::now() + kKillPatience;
  signal_all(SIGKILL);
}

void Gang::give_up() {
  give_up_at_.reset();
  reap();
  if (has_children_) unkillable_ = children();
}

void Gang::signal_all(int signal) {
  for (const Member& member : members_) {
    // A rank that was not reaped keeps its id, so the group is its own for certain.
    if (member.pid != 0) ::kill(-member.pid, signal);
  }
  for (const pid_t pid : children()) {
    const bool is_rank = std::ranges::find(members_, pid, &Member::pid) != members_.end();
    if (!is_rank) ::kill(pid, signal);
  }
}

}  // namespace trireme
