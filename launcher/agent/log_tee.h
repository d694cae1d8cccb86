// What one rank prints on one stream: every byte to a file, and, for the rank that is shown, whole
// lines to the console, as far as that keeps up.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "launcher/agent/console.h"
#include "launcher/agent/unique_fd.h"

namespace trireme {

class LogTee {
 public:
  /// Appends to the file at `path`; its folder must exist. `console` is null for ranks that are not
  /// shown. `complaints` gets one line if the file cannot be written; the rank is not disturbed.
  /// Throws IoError if the file cannot be opened.
  LogTee(UniqueFd stream, const std::string& path, Console* console, Console& complaints);

  /// The stream to poll for POLLIN, or -1 at its end, or while the console asks for a pause.
  int fd() const { return console_ && console_->asks_for_pause() ? -1 : stream_.get(); }
  /// Where this run begins in the file, which may hold an earlier one.
  int64_t begin() const { return begin_; }
  bool at_end() const { return !stream_.is_open(); }
  /// Reads what is there, up to 64 KiB. At the end of the stream a last line without a newline gets
  /// one on the console.
  void read_some();

 private:
  void write_file(std::string_view bytes);
  void show(std::string_view bytes);
  void finish();

  UniqueFd stream_;
  UniqueFd file_;
  std::string path_;
  int64_t begin_ = 0;
  Console* console_;
  Console& complaints_;
  std::string partial_;  // a line that has begun
};

}  // namespace trireme
