// The manifest of a checkpoint directory: written last, it says which files make it complete.

#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace trireme {

struct Manifest {
  struct File {
    int64_t size_bytes = 0;
    uint32_t crc32 = 0;
  };
  int64_t step = 0;
  /// Grows by one with every checkpoint saved into the same directory: the order of writing, which
  /// neither a clock nor the step gives when a run was restarted from an older step.
  int64_t serial = 0;
  std::map<std::string, File> files;  // by name inside the directory
};

inline constexpr const char* kManifestName = "manifest.json";

std::string manifest_to_json(const Manifest& manifest);

/// Reads `directory`/manifest.json and checks that every file it names is there with its size.
/// Throws IoError or DataError that says what is missing.
Manifest read_manifest(const std::string& directory);

}  // namespace trireme
