#include "launcher/agent/run_directory.h"

#include <cctype>
#include <cstdio>
#include <filesystem>

#include "core/base/error.h"

namespace trireme {

namespace fs = std::filesystem;

void check_run_id(const std::string& run_id) {
  constexpr size_t kLongest = 100;
  const auto is_alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  bool fits = !run_id.empty() && run_id.size() <= kLongest && is_alnum(run_id[0]);
  for (const char c : run_id) fits &= is_alnum(c) || c == '.' || c == '_' || c == '-';
  require(fits && run_id != "latest", "--run-id", "must be 1 to ", kLongest,
          " letters, digits, '.', '_' or '-', begin with a letter or digit and not be 'latest', ",
          "got '", run_id, "'");
}

std::string log_path(const std::string& run_directory, int rank, const std::string& stream) {
  char folder[32];
  std::snprintf(folder, sizeof folder, "rank-%04d", rank);
  return concat(run_directory, "/logs/", folder, "/", stream, ".log");
}

void make_run_directory(const std::string& run_directory, int ranks) {
  const fs::path directory(run_directory);
  const fs::path latest = directory.parent_path() / "latest";
  // Made aside and renamed, so that `latest` always exists once it did.
  const fs::path aside = directory.parent_path() / (".latest-" + directory.filename().string());
  try {
    for (int rank = 0; rank < ranks; ++rank) {
      fs::create_directories(fs::path(log_path(run_directory, rank, "stdout")).parent_path());
    }
    if (fs::exists(fs::symlink_status(latest)) && !fs::is_symlink(latest)) return;
    fs::remove(aside);
    fs::create_symlink(directory.filename(), aside);
    fs::rename(aside, latest);
  } catch (const fs::filesystem_error& error) {
    throw IoError(concat("run directory ", run_directory, ": ", error.code().message(),
                         "; choose another with --log-dir"));
  }
}

}  // namespace trireme
