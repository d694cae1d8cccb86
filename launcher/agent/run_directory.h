// runs/<run id>/: where a run keeps its logs, metrics and checkpoints. Nothing in it is ever
// deleted but an earlier failure.json; a second run of the same id continues there and appends to
// the logs.

#pragma once

#include <string>

namespace trireme {

/// Throws InvalidArgument unless `run_id` can name a folder: 1 to 100 letters, digits, '.', '_' and
/// '-', the first a letter or digit, and not "latest".
void check_run_id(const std::string& run_id);

/// ".../logs/rank-0003/stderr.log"; stream is "stdout" or "stderr".
std::string log_path(const std::string& run_directory, int rank, const std::string& stream);

/// Creates the directory with a log folder for each rank, and lets `latest` beside it point to it.
/// Throws IoError with the path and the reason. A `latest` that is no link is left alone.
void make_run_directory(const std::string& run_directory, int ranks);

}  // namespace trireme
