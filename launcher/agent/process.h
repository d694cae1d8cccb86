// Starting one rank: a process in a session of its own, with pipes for what it prints.

#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/exit_code.h"
#include "launcher/agent/unique_fd.h"

namespace trireme {

/// The program cannot be started; `exit_code` is 126, 127 or 71.
class StartError : public Error {
 public:
  StartError(ExitCode exit_code, const std::string& message) : Error(message), code_(exit_code) {}
  ExitCode exit_code() const { return code_; }

 private:
  ExitCode code_;
};

/// Path of `program`: itself if it has a slash, else the first of that name in $PATH, else the one
/// beside this program. Throws StartError 127 if there is none, 126 if it cannot be executed.
std::string find_program(const std::string& program);

struct Command {
  std::string path;
  std::vector<std::string> words;        // the program's name first
  std::vector<std::string> environment;  // "NAME=value"
  std::vector<int> cores;                // to bind to; empty: inherit
};

struct Started {
  pid_t pid = 0;  // also its session and process group
  UniqueFd out;   // read ends, non-blocking
  UniqueFd err;
};

/// Starts it with stdin from /dev/null, default signal handling and no other file of this process.
/// It is killed when this process dies. Throws StartError; then no process is left.
Started start(const Command& command);

}  // namespace trireme
