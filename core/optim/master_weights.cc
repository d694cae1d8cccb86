#include "core/optim/master_weights.h"

#include <algorithm>
#include <string_view>

namespace trireme {
namespace {

/// The entry of that name, or the end.
template <typename Dict>
auto find(Dict& dict, std::string_view name) {
  return std::ranges::find_if(dict, [&](const auto& entry) { return entry.first == name; });
}
bool has(const StateDict& dict, std::string_view name) { return find(dict, name) != dict.end(); }
bool is_master(const std::string& name) { return name.starts_with(kMasterPrefix); }
std::string_view parameter_of(std::string_view master) {
  return master.substr(std::string_view(kMasterPrefix).size());
}

}  // namespace

void convert_master_weights(StateDict& model, StateDict& optimizer, const StateDict& target) {
  for (const auto& [name, tensor] : target) {
    if (!is_master(name) || has(optimizer, name)) continue;
    const auto parameter = find(model, parameter_of(name));
    if (parameter != model.end()) optimizer.emplace_back(name, parameter->second);
  }
  std::erase_if(optimizer, [&](const auto& entry) {
    if (!is_master(entry.first) || has(target, entry.first)) return false;
    const auto parameter = find(model, parameter_of(entry.first));
    if (parameter == model.end()) return false;
    parameter->second = entry.second;
    return true;
  });
}

}  // namespace trireme
