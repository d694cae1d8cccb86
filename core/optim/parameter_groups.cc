#include "core/optim/parameter_groups.h"

#include <algorithm>

namespace trireme {

bool is_matrix(const std::string& /*name*/, const Tensor& parameter) {
  return parameter.rank() >= 2;
}
bool any_parameter(const std::string& /*name*/, const Tensor& /*parameter*/) { return true; }

std::vector<ParameterGroup> group_parameters(const StateDict& parameters,
                                             const std::vector<GroupSelector>& selectors) {
  std::vector<ParameterGroup> groups;
  for (const GroupSelector& selector : selectors) groups.push_back({{}, selector.options});
  for (const auto& [name, parameter] : parameters) {
    size_t i = 0;
    while (i < selectors.size() && !selectors[i].takes(name, parameter)) ++i;
    require(i < selectors.size(), "group_parameters", "no selector takes parameter '", name,
            "' of shape ", parameter.shape(), "; end the list with any_parameter");
    groups[i].parameters.emplace_back(name, parameter);
  }
  std::erase_if(groups, [](const ParameterGroup& group) { return group.parameters.empty(); });
  return groups;
}

std::vector<ParameterGroup> decay_matrices_only(const StateDict& parameters, double weight_decay) {
  return group_parameters(parameters,
                          {{is_matrix, {.weight_decay = weight_decay}}, {any_parameter, {}}});
}

}  // namespace trireme
