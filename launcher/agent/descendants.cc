#include "launcher/agent/descendants.h"

#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "core/base/error.h"
#include "launcher/agent/system_error.h"

namespace trireme {

void become_subreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    throw Error(concat("prctl(PR_SET_CHILD_SUBREAPER): ", error_text(errno)));
  }
}

std::vector<pid_t> children() {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || *stop != '\0') continue;
    std::ifstream file(entry.path() / "stat");
    std::string text;  // stays empty if the process has gone by now
    std::getline(file, text, '\0');
    // "pid (name) state parent": the name may hold anything, so count from its last bracket.
    const size_t bracket = text.rfind(')');
    if (bracket == std::string::npos) continue;
    std::istringstream rest(text.substr(bracket + 1));
    char state = 0;
    pid_t parent = 0;
    if (rest >> state >> parent && parent == ::getpid()) found.push_back(pid);
  }
  return found;
}

}  // namespace trireme
