#include <errno.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "launcher/agent/process.h"
#include "launcher/agent/system_error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::string find_program(const std::string& program) {
  std::error_code ignored;
  if (program.find('/') != std::string::npos) {
    if (is_program(program)) return program;
    if (!fs::exists(program, ignored)) {
      throw StartError(kExitNotFound, concat("cannot start ", program, ": no such file"));
    }
    throw StartError(kExitCannotExec,
                     concat("cannot start ", program, ": it is not an executable file"));
  }
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path candidate = fs::path(folder.empty() ? "." : folder) / program;
    if (is_program(candidate)) return candidate.string();
  }
  // So that `build/release/bin/trireme run -- trireme-train` works without an installation.
  const fs::path beside = fs::read_symlink("/proc/self/exe", ignored).parent_path() / program;
  if (is_program(beside)) return beside.string();
  const char* hint = is_program(program) ? "; the current folder has it: write ./" : "";
  throw StartError(kExitNotFound,
                   concat("cannot start ", program, ": not found in $PATH or beside trireme", hint,
                          *hint ? program : ""));
}

}  // namespace trireme
