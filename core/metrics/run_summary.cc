#include "core/metrics/run_summary.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/sync_directory.h"

namespace trireme {
namespace {

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

void write_run_summary(const std::string& path, const RunSummary& summary) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  const auto put = [&](const char* name, const std::optional<double>& value) {
    if (value) json[name] = *value;
  };
  put("final_loss", summary.final_loss);
  put("val_loss", summary.val_loss);
  put("accuracy", summary.accuracy);
  put("tokens_per_second", summary.tokens_per_second);
  put("samples_per_second", summary.samples_per_second);
  json["steps"] = summary.steps;
  json["world_size"] = summary.world_size;
  if (!summary.precision.empty()) json["precision"] = summary.precision;
  if (summary.skipped_steps) json["skipped_steps"] = *summary.skipped_steps;
  json["wall_seconds"] = summary.wall_seconds;
  json["peak_memory_bytes"] = summary.peak_memory_bytes;

  const std::string temporary = concat(path, ".", ::getpid(), ".tmp");
  const int fd = ::open(temporary.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
  bool done = fd >= 0 && write_all(fd, json.dump(2) + "\n") && ::fsync(fd) == 0;
  int error = errno;
  if (fd >= 0) ::close(fd);
  if (done && ::rename(temporary.c_str(), path.c_str()) != 0) {
    done = false;
    error = errno;
  }
  if (!done) {
    ::unlink(temporary.c_str());
    throw IoError(concat("summary: cannot write ", path, ", got ", std::strerror(error)));
  }
  sync_parent_directory(path);
}

bool has_run_summary(const std::string& path, int64_t steps) {
  std::ifstream file(path);
  constexpr bool kThrows = false;
  const auto json = nlohmann::json::parse(file, nullptr, kThrows);
  return json.is_object() && json.contains("steps") && json["steps"] == steps;
}

}  // namespace trireme
