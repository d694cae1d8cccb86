// Text on its way to the launcher's own stdout or stderr, without ever blocking the launcher.
//
// A terminal that is held (Ctrl-S) or a pipe that nobody reads must not keep the launcher from
// seeing signals and dying ranks, nor ranks from training. So text waits in memory and is written
// when poll() allows. Past 1 MiB a reader that is only slow slows ranks down; one that takes
// nothing misses what they print.

#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace trireme {

class Console {
 public:
  /// Does not own `fd`. A reader that takes nothing for `patience` counts as held.
  explicit Console(int fd, std::chrono::milliseconds patience = std::chrono::seconds(1))
      : fd_(fd), patience_(patience) {}
  Console(const Console&) = delete;

  int fd() const { return fd_; }
  /// Queues whole lines of the launcher's own. Ignored once the reader is gone.
  void append(std::string_view lines);
  /// Queues whole lines of a rank. While the console is full and held, one line says that they are
  /// left out here, until half of what waits has been read.
  void append_or_drop(std::string_view lines);
  /// True while there is something to write: poll for POLLOUT and then call write_some().
  bool has_text() const { return waiting_bytes() > 0; }
  /// True while much waits for a reader that is only slow: then ranks should not be read. May end
  /// without an event.
  bool asks_for_pause() const { return is_full() && !is_held() && !is_dropping_; }
  /// Writes at most as much as cannot block after poll() has reported POLLOUT.
  void write_some();
  /// Drops what waits and all that follows.
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kFullBytes = 1 << 20;
  size_t waiting_bytes() const { return queue_.size() - begin_; }
  bool is_full() const { return waiting_bytes() >= kFullBytes; }
  bool is_held() const { return Clock::now() - moved_at_ >= patience_; }

  int fd_;
  const std::chrono::milliseconds patience_;
  std::string queue_;
  size_t begin_ = 0;  // what lies before it has been written
  bool is_closed_ = false;
  bool is_dropping_ = false;
  Clock::time_point moved_at_ = Clock::now();  // when text was taken, or there was none
};

}  // namespace trireme
