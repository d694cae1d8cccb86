#include "core/checkpoint/load_state.h"

#include <algorithm>
#include <unordered_map>

#include "core/autograd/no_grad.h"
#include "core/base/error.h"
#include "core/tensor/copy.h"

namespace trireme {
namespace {

// "3 missing (a, b, c)", shortened so that a wrong model does not print a page.
std::string describe(std::string_view kind, const std::vector<std::string>& names) {
  constexpr size_t kMostNames = 5;
  if (names.empty()) return "";
  std::string text = concat(", ", names.size(), " ", kind, " (");
  for (size_t i = 0; i < std::min(names.size(), kMostNames); ++i) {
    text += (i ? ", " : "") + names[i];
  }
  return text + (names.size() > kMostNames ? ", ...)" : ")");
}

}  // namespace

std::vector<std::string> load_state(const StateDict& target, const StateDict& source,
                                    Strictness strictness, std::string_view path) {
  std::unordered_map<std::string_view, const Tensor*> available;
  for (const auto& [name, tensor] : source) available[name] = &tensor;

  std::vector<std::string> missing, mismatching, unexpected;
  std::vector<std::pair<Tensor, const Tensor*>> copies;
  for (const auto& [name, tensor] : target) {
    const auto found = available.find(name);
    if (found == available.end()) {
      missing.push_back(name);
      continue;
    }
    const Tensor& from = *found->second;
    if (from.shape() == tensor.shape()) {
      copies.emplace_back(tensor, &from);
    } else {
      mismatching.push_back(concat(name, " is ", tensor.shape(), " but ", from.shape(), " there"));
    }
    available.erase(found);
  }
  for (const auto& [name, tensor] : source) {
    if (available.contains(name)) unexpected.push_back(name);
  }
  const bool extra_is_wrong = strictness == Strictness::kExact;
  if (!missing.empty() || !mismatching.empty() || (extra_is_wrong && !unexpected.empty())) {
    throw DataError(concat("load_state: names and shapes must be those of the model",
                           describe("missing", missing), describe("of another shape", mismatching),
                           extra_is_wrong ? describe("unexpected", unexpected) : "",
                           path.empty() ? "" : " in ", path));
  }
  const NoGrad no_grad;
  for (const auto& [to, from] : copies) copy_inplace(to, *from);
  return unexpected;
}

}  // namespace trireme
