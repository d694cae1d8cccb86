#include "distributed/process_identity.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <sstream>
#include <string>

namespace trireme {
namespace {

/// /proc/<pid>/stat, or "" if there is no such process; nothing if the system cannot say.
std::optional<std::string> read_stat(pid_t pid) {
  const int fd = open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? std::optional<std::string>("") : std::nullopt;
  char text[1024];
  const ssize_t length = read(fd, text, sizeof(text));  // fails with ESRCH if it has just ended
  close(fd);
  return std::string(text, static_cast<size_t>(std::max<ssize_t>(length, 0)));
}

/// Start time of a running process, 0 if there is none with this id.
std::optional<uint64_t> start_time_of(pid_t pid) {
  const std::optional<std::string> line = read_stat(pid);
  if (!line) return std::nullopt;
  // The second field is the program's name in parentheses and may hold anything.
  const size_t name_end = line->rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(line->substr(name_end + 1));
  std::string state, skipped;
  fields >> state;
  if (state == "Z" || state == "X") return 0;
  constexpr int kFieldsBetween = 18;  // state is field 3, the start time field 22
  for (int i = 0; i < kFieldsBetween; ++i) fields >> skipped;
  uint64_t start_time = 0;
  fields >> start_time;
  return start_time;
}

}  // namespace

ProcessIdentity this_process() { return {getpid(), start_time_of(getpid()).value_or(0)}; }

bool is_alive(const ProcessIdentity& process) {
  if (process.start_time == 0) return false;
  return start_time_of(process.pid).value_or(process.start_time) == process.start_time;
}

}  // namespace trireme
