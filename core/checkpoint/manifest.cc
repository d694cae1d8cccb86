#include "core/checkpoint/manifest.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/mapped_file.h"

namespace trireme {
namespace {

using nlohmann::json;

constexpr int kFormatVersion = 1;

template <typename... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw DataError(concat("checkpoint: ", parts...));
}

Manifest from_json(const json& items, const std::string& path) {
  Manifest manifest;
  try {
    const int version = items.at("format").get<int>();
    if (version != kFormatVersion) {
      refuse("format must be ", kFormatVersion, ", got ", version, " in ", path,
             "; it was written by another version of Trireme");
    }
    manifest.step = items.at("step").get<int64_t>();
    manifest.serial = items.at("serial").get<int64_t>();
    for (const auto& [name, file] : items.at("files").items()) {
      manifest.files[name] = {file.at("bytes").get<int64_t>(), file.at("crc32").get<uint32_t>()};
    }
  } catch (const json::exception& error) {
    refuse("cannot understand ", path, ", ", error.what());
  }
  return manifest;
}

}  // namespace

std::string manifest_to_json(const Manifest& manifest) {
  json files = json::object();
  for (const auto& [name, file] : manifest.files) {
    files[name] = {{"bytes", file.size_bytes}, {"crc32", file.crc32}};
  }
  const json items = {{"format", kFormatVersion},
                      {"step", manifest.step},
                      {"serial", manifest.serial},
                      {"files", files}};
  return items.dump(2) + "\n";
}

Manifest read_manifest(const std::string& directory) {
  const MappedFile text(directory + "/" + kManifestName, MappedFile::Access::kReadOnly,
                        "checkpoint");
  const auto* first = reinterpret_cast<const char*>(text.data());
  const json items =
      json::parse(first, first + text.size_bytes(), nullptr, /*allow_exceptions=*/false);
  if (!items.is_object()) refuse("no JSON object in ", text.path());
  Manifest manifest = from_json(items, text.path());
  for (const auto& [name, file] : manifest.files) {
    const std::string path = directory + "/" + name;
    std::error_code error;
    const auto size_bytes = std::filesystem::file_size(path, error);
    if (error) refuse("incomplete, cannot read ", path, ", ", error.message());
    if (size_bytes != static_cast<uint64_t>(file.size_bytes)) {
      refuse("incomplete, ", path, " must have ", file.size_bytes, " bytes, got ", size_bytes);
    }
  }
  return manifest;
}

}  // namespace trireme
