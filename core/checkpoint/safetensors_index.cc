#include "core/checkpoint/safetensors_index.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/checkpoint/safetensors.h"

namespace trireme {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

template <typename... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw DataError(concat("load_weights: ", parts...));
}

json read_weight_map(const std::string& path) {
  const MappedFile text(path, MappedFile::Access::kReadOnly, "load_weights");
  const auto* first = reinterpret_cast<const char*>(text.data());
  const json index =
      json::parse(first, first + text.size_bytes(), nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    refuse("an index must hold an object weight_map, got none in ", path);
  }
  return index["weight_map"];
}

}  // namespace

StateDict load_weights(const std::string& path) {
  if (!path.ends_with(".json")) return load_safetensors(path).tensors;
  std::map<std::string, std::map<std::string, Tensor>> files;
  StateDict result;
  const json weight_map = read_weight_map(path);
  for (const auto& [name, place] : weight_map.items()) {
    const std::string file = place.is_string() ? place.get<std::string>() : "";
    if (file.empty() || fs::path(file).filename() != file) {
      refuse("the file of ", name, " must lie beside the index, got ", place.dump(), " in ", path);
    }
    const auto [entry, is_new] = files.try_emplace(file);
    const std::string beside = (fs::path(path).parent_path() / file).string();
    if (is_new) {
      for (auto& [held, tensor] : load_safetensors(beside).tensors) entry->second[held] = tensor;
    }
    const auto found = entry->second.find(name);
    if (found == entry->second.end()) {
      refuse(name, " must be in ", beside, ", as ", path, " says, but is not");
    }
    result.emplace_back(name, found->second);
  }
  return result;
}

}  // namespace trireme
