#include "core/checkpoint/catalog.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/checkpoint/manifest.h"

namespace trireme {

namespace fs = std::filesystem;

std::string checkpoint_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof(name), "step-%08lld", static_cast<long long>(step));
  return name;
}

std::string checkpoint_directory(const std::string& out_dir) { return out_dir + "/checkpoints"; }

std::vector<CheckpointInfo> list_checkpoints(const std::string& directory) {
  std::vector<CheckpointInfo> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    const std::string path = entry.path().string();
    if (!entry.path().filename().string().starts_with("step-")) continue;
    try {
      const Manifest manifest = read_manifest(path);
      found.push_back({path, manifest.step, manifest.serial});
    } catch (const IoError& problem) {
      log_warning("ignoring ", path, ": ", problem.what());
    }
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.serial < b.serial; });
  return found;
}

std::optional<std::string> find_latest(const std::string& directory) {
  const std::vector<CheckpointInfo> all = list_checkpoints(directory);
  if (all.empty()) return std::nullopt;
  return all.back().path;
}

std::optional<std::string> resolve_resume(const std::string& out_dir, const std::string& text) {
  if (text == "never") return std::nullopt;
  if (text == "auto") return find_latest(checkpoint_directory(out_dir));
  std::error_code ignored;
  if (!fs::is_directory(text, ignored)) {
    throw DataError(concat("resume: must be auto, never or a checkpoint directory, got ", text));
  }
  if (fs::exists(fs::path(text) / kManifestName, ignored)) {
    read_manifest(text);  // says what is missing if it is not complete
    return text;
  }
  if (auto latest = find_latest(text)) return latest;
  if (auto latest = find_latest(checkpoint_directory(text))) return latest;
  throw DataError(concat("resume: no complete checkpoint in ", text));
}

}  // namespace trireme
