#include "core/base/log.h"

#include <unistd.h>

#include <atomic>

#include "core/base/settings.h"

namespace trireme {
namespace {

std::atomic<int> log_rank{-1};

LogLevel level_from_settings() {
  std::string text;
  try {
    text = get_setting("TRIREME_LOG_LEVEL");
  } catch (const InvalidArgument& error) {
    // Nobody who logs expects an exception, least of all where one is being reported.
    log_line(LogLevel::kWarning, concat(error.what(), "; info is used"));
  }
  if (text == "debug") return LogLevel::kDebug;
  if (text == "warning") return LogLevel::kWarning;
  if (text == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

}  // namespace

void set_log_rank(int rank, int world_size) { log_rank = world_size > 1 ? rank : -1; }

std::string log_prefix() {
  const int rank = log_rank;
  return rank < 0 ? "" : concat("[rank ", rank, "] ");
}

bool log_enabled(LogLevel level) {
  static const LogLevel lowest = level_from_settings();
  return level >= lowest;
}

void log_line(LogLevel level, std::string_view message) {
  const char* kind = level == LogLevel::kWarning ? "warning: "
                     : level == LogLevel::kError ? "error: "
                                                 : "";
  const std::string line = concat(log_prefix(), kind, message, "\n");
  // A log that cannot be written must not stop training, so the result is ignored.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace trireme
