// Text on its way to the launcher's own stdout or stderr, without ever blocking the launcher.
//
// A terminal that is held (Ctrl-S) or a pipe that nobody reads must not keep the launcher from
// seeing signals and dying ranks. So text waits in memory and is written when poll() allows.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace trireme {

class Console {
 public:
  /// Does not own `fd`.
  explicit Console(int fd) : fd_(fd) {}
  Console(const Console&) = delete;

  int fd() const { return fd_; }
  /// Queues whole lines. Ignored once the reader is gone.
  void append(std::string_view lines);
  /// True while there is something to write: poll for POLLOUT and then call write_some().
  bool has_text() const { return begin_ < queue_.size(); }
  /// True if so much waits that whoever produces more should pause.
  bool is_full() const { return queue_.size() - begin_ >= kFullBytes; }
  /// Writes at most as much as cannot block after poll() has reported POLLOUT.
  void write_some();
  /// Drops what waits and all that follows.
  void close();

 private:
  static constexpr size_t kFullBytes = 1 << 20;

  int fd_;
  std::string queue_;
  size_t begin_ = 0;  // what lies before it has been written
  bool is_closed_ = false;
};

}  // namespace trireme
