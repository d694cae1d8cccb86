// What the launcher says when a gang has failed: a block of at most 25 lines for people, and
// failure.json with the same for programs.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "launcher/agent/verdict.h"

namespace trireme {

/// Logs are appended to: how many bytes of a rank's two logs an earlier run of this id has written.
struct LogsBegin {
  int64_t out = 0;
  int64_t err = 0;
};

struct FailureReport {
  std::string run_id;
  std::string run_directory;
  std::string host;
  int ranks = 1;
  RankExit culprit;
  std::vector<RankExit> exits;             // of all ranks, as seen
  int exit_code = 0;                       // of the launcher
  std::vector<LogsBegin> logs_begin = {};  // by rank

  LogsBegin logs_begin_of(int rank) const {
    return static_cast<size_t>(rank) < logs_begin.size() ? logs_begin[rank] : LogsBegin{};
  }
};

/// "exit code 65 (bad data or checkpoint)", "killed by SIGSEGV", "did not answer".
std::string describe_end(const RankExit& exit);

/// What to try, or "" if there is nothing to say.
std::string hint_for(const RankExit& exit);

/// The last `most` lines of a file after its first `begin` bytes, each cut to 240 characters. Empty
/// if it cannot be read.
std::vector<std::string> last_lines(const std::string& path, size_t most, int64_t begin = 0);

/// Cause, other ranks, hint, logs, and the last 20 lines of the culprit's stderr (of its stdout if
/// stderr is empty); where the culprit did not answer, of the first rank that gave up on it. Ends
/// with a newline.
std::string summarise(const FailureReport& report);

/// <run directory>/failure.json
std::string failure_json_path(const std::string& run_directory);

/// Writes that file. Throws IoError.
void write_failure_json(const FailureReport& report);

}  // namespace trireme
