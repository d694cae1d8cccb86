#include "launcher/agent/console.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>

namespace trireme {

void Console::append(std::string_view lines) {
  if (!is_closed_) queue_ += lines;
}

void Console::write_some() {
  // A pipe that is ready takes PIPE_BUF bytes without blocking; more might block.
  const size_t bytes = std::min<size_t>(queue_.size() - begin_, PIPE_BUF);
  const ssize_t written = ::write(fd_, queue_.data() + begin_, bytes);
  if (written < 0) {
    if (errno != EINTR && errno != EAGAIN) close();
    return;
  }
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
