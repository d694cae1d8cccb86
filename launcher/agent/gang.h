// The ranks of one node while they run: one thread, one poll() loop, no locks.
//
//   running ── a rank fails ──► settling ── 0.2 s ──► SIGTERM to all ── 2.5 s ──► SIGKILL to all
//      │                        (1 s while only victims are seen)
//      └── stop signal: forwarded to all, SIGKILL after the grace period or a second Ctrl-C
//
// Every rank leads a process group, and signals go to groups, so wrapper scripts and loader
// processes get them too. The launcher is subreaper: a process that a rank leaves behind becomes
// its child and is ended as well. run() returns when no descendant is left and all output was read.

#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "launcher/agent/console.h"
#include "launcher/agent/log_tee.h"
#include "launcher/agent/process.h"
#include "launcher/agent/signals.h"
#include "launcher/agent/summary.h"
#include "launcher/agent/verdict.h"

namespace trireme {

struct GangLimits {
  std::chrono::milliseconds grace{30'000};  // from a stop signal to SIGKILL
  std::chrono::milliseconds timeout{0};     // of the whole run; 0: none
};

/// One rank to start, and where its output goes.
struct RankStart {
  Command command;
  std::string stdout_log;
  std::string stderr_log;
  bool is_shown = false;  // on the console
};

class Gang {
 public:
  /// `signals` must block and deliver the launcher's signals from before the first rank starts.
  Gang(SignalInbox& signals, Console& out, Console& err, const GangLimits& limits);
  ~Gang();  // kills what still runs, if run() was left by an exception
  Gang(const Gang&) = delete;

  /// Starts every rank, calls `on_started` once, and returns when all have ended. Throws StartError
  /// or IoError if one cannot be started; no process is left then.
  void run(const std::vector<RankStart>& ranks, const std::function<void()>& on_started);

  /// After run(): every rank's end, in the order seen, and what was asked from outside.
  const std::vector<RankExit>& exits() const { return exits_; }
  const Request& request() const { return request_; }
  /// Where this run begins in each rank's logs.
  std::vector<LogsBegin> logs_begin() const;
  /// Process ids that survived SIGKILL (stuck in the kernel). Normally empty.
  const std::vector<pid_t>& unkillable() const { return unkillable_; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int kRescanMs = 50;  // between looks for descendants that must die
  struct Member {
    int rank = 0;
    pid_t pid = 0;  // 0 once it has been reaped
    LogTee out;
    LogTee err;
  };

  void loop();
  bool is_over() const;
  int poll_limit_ms() const;
  void wait_for_events();
  void handle_signal(int signal);
  void request_stop(int signal);
  void reap();
  void note_exit(Member& member, int status);
  void act_on_deadlines();
  void end_gang();  // SIGTERM, with SIGKILL to follow
  void kill_gang();
  void give_up();
  /// Sends to the group of every live rank and to every orphan of theirs.
  void signal_all(int signal);
  int live_ranks() const;

  SignalInbox& signals_;
  Console& out_;
  Console& err_;
  const GangLimits limits_;
  const Clock::time_point started_ = Clock::now();
  std::vector<Member> members_;
  std::vector<RankExit> exits_;
  Request request_;
  std::vector<pid_t> unkillable_;
  bool has_children_ = false;
  RankExit::When phase_ = RankExit::When::kOnItsOwn;
  std::map<int, Clock::time_point> stops_;  // each stop signal, and when it first came
  std::optional<Clock::time_point> time_up_;
  std::optional<Clock::time_point> end_at_;      // then SIGTERM
  std::optional<Clock::time_point> kill_at_;     // then SIGKILL
  std::optional<Clock::time_point> give_up_at_;  // then leave without what cannot be killed
};

}  // namespace trireme
