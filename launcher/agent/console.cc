#include "launcher/agent/console.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>

namespace trireme {

void Console::append(std::string_view lines) {
  if (is_closed_) return;
  if (!has_text()) moved_at_ = Clock::now();
  queue_ += lines;
}

void Console::append_or_drop(std::string_view lines) {
  is_dropping_ = is_dropping_ && waiting_bytes() > kFullBytes / 2;
  if (is_dropping_) return;
  if (is_full() && is_held()) {
    append("trireme run: nobody reads this; what ranks print now is in the logs only\n");
    is_dropping_ = true;
    return;
  }
  append(lines);
}

void Console::write_some() {
  // A pipe that is ready takes PIPE_BUF bytes without blocking; more might block.
  const size_t bytes = std::min<size_t>(queue_.size() - begin_, PIPE_BUF);
  const ssize_t written = ::write(fd_, queue_.data() + begin_, bytes);
  if (written < 0) {
    if (errno != EINTR && errno != EAGAIN) close();
    return;
  }
  moved_at_ = Clock::now();
  begin_ += static_cast<size_t>(written);
  if (begin_ == queue_.size() || begin_ >= kFullBytes) {
    queue_.erase(0, begin_);
    begin_ = 0;
  }
}

void Console::close() {
  is_closed_ = true;
  queue_.clear();
  begin_ = 0;
}

}  // namespace trireme
