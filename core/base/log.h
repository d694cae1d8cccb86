// Line logger: one line per call on stderr, rank first when there are several ranks.
//
//   log_info("checkpoint written step=", 100, " path=", dir);
//   -> [rank 1] checkpoint written step=100 path=runs/a/step-100
//
// Thread-safe; a line is written with one write(2), so lines of several ranks do not mix.
// TRIREME_LOG_LEVEL = debug | info | warning | error chooses what is shown (default info).

#pragma once

#include <string>
#include <string_view>

#include "core/base/error.h"

namespace trireme {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// Prefix of every following line. Called once, when the process knows its rank.
void set_log_rank(int rank, int world_size);

/// "[rank 1] " once set_log_rank was called with world_size > 1, else "".
std::string log_prefix();

bool log_enabled(LogLevel level);
void log_line(LogLevel level, std::string_view message);

template <typename... Parts>
void log_at(LogLevel level, const Parts&... parts) {
  if (log_enabled(level)) log_line(level, concat(parts...));
}
template <typename... Parts>
void log_debug(const Parts&... parts) {
  log_at(LogLevel::kDebug, parts...);
}
template <typename... Parts>
void log_info(const Parts&... parts) {
  log_at(LogLevel::kInfo, parts...);
}
template <typename... Parts>
void log_warning(const Parts&... parts) {
  log_at(LogLevel::kWarning, parts...);
}
template <typename... Parts>
void log_error(const Parts&... parts) {
  log_at(LogLevel::kError, parts...);
}

}  // namespace trireme
