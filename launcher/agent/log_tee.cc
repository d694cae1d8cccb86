#include "launcher/agent/log_tee.h"

#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "launcher/agent/system_error.h"

namespace trireme {

LogTee::LogTee(UniqueFd stream, const std::string& path, Console* console, Console& complaints)
    : stream_(std::move(stream)),
      file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)),
      path_(path),
      console_(console),
      complaints_(complaints) {
  if (!file_.is_open()) throw IoError(concat("log file ", path, ": ", error_text(errno)));
  begin_ = std::max<int64_t>(0, ::lseek(file_.get(), 0, SEEK_END));  // not every file has an end
}

void LogTee::read_some() {
  // Static: the launcher reads in one thread, and 64 KiB is much for a stack and a pipe's capacity.
  static std::array<char, 1 << 16> buffer;
  const ssize_t length = ::read(stream_.get(), buffer.data(), buffer.size());
  if (length > 0) {
    const std::string_view bytes(buffer.data(), static_cast<size_t>(length));
    write_file(bytes);
    if (console_) show(bytes);
  } else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
    finish();
  }
}

void LogTee::write_file(std::string_view bytes) {
  while (!bytes.empty() && file_.is_open()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      complaints_.append(concat("trireme run: warning: log file ", path_, ": ", error_text(errno),
                                "; what follows is lost\n"));
      file_.reset();
    }
  }
}

void LogTee::show(std::string_view bytes) {
  constexpr size_t kLongestLine = 1 << 16;  // a longer one is shown in pieces
  // A progress display ends its lines with a carriage return.
  const size_t end = bytes.find_last_of("\n\r");
  if (end == std::string_view::npos) {
    partial_ += bytes;
    if (partial_.size() < kLongestLine) return;
    console_->append_or_drop(partial_);
    partial_.clear();
    return;
  }
  // In one piece: a console that is full drops whole lines.
  console_->append_or_drop(partial_.append(bytes.substr(0, end + 1)));
  partial_ = bytes.substr(end + 1);
}

void LogTee::finish() {
  if (console_ && !partial_.empty()) console_->append_or_drop(partial_ + "\n");
  partial_.clear();
  stream_.reset();
}

}  // namespace trireme
