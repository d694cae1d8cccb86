#include "distributed/process_identity.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace trireme {
namespace {

/// Start time of a running process, 0 if there is none with this id.
uint64_t start_time_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return 0;
  // The second field is the program's name in parentheses and may hold anything.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(line.substr(name_end + 1));
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

ProcessIdentity this_process() { return {getpid(), start_time_of(getpid())}; }

bool is_alive(const ProcessIdentity& process) {
  return start_time_of(process.pid) == process.start_time && process.start_time != 0;
}

}  // namespace trireme
