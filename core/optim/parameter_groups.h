// Parameter groups: which parameters an optimizer treats alike, chosen by predicates.
//
//   const auto groups = group_parameters(model.named_parameters(),
//       {{is_embedding, {.lr_factor = 0.5}}, {is_matrix, {.weight_decay = 0.1}}, {any_parameter,
//       {}}});

#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/state_dict.h"

namespace trireme {

/// What may differ between groups. The learning rate of a group is the optimizer's times lr_factor.
struct GroupOptions {
  double weight_decay = 0;
  double lr_factor = 1;
  bool operator==(const GroupOptions&) const = default;
};

struct ParameterGroup {
  StateDict parameters;
  GroupOptions options;
};

using ParameterPredicate = std::function<bool(const std::string& name, const Tensor& parameter)>;

/// Of rank 2 or more: weights of layers, not biases and norms.
bool is_matrix(const std::string& name, const Tensor& parameter);
bool any_parameter(const std::string& name, const Tensor& parameter);

struct GroupSelector {
  ParameterPredicate takes;
  GroupOptions options = {};
};

/// One group per selector, with the parameters that it is the first to take, in their order; groups
/// without parameters are left out. A parameter that nobody takes is an error that names it.
std::vector<ParameterGroup> group_parameters(const StateDict& parameters,
                                             const std::vector<GroupSelector>& selectors);

/// Two groups: weight decay for matrices, none for the rest.
std::vector<ParameterGroup> decay_matrices_only(const StateDict& parameters, double weight_decay);

}  // namespace trireme
