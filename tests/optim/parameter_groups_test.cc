#include "core/optim/parameter_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/tensor/create.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::ThrowsMessage;

StateDict parameters() {
  return {{"wte.weight", ones({4, 2})}, {"h.weight", ones({2, 2})}, {"h.bias", ones({2})}};
}
std::vector<std::string> names_of(const ParameterGroup& group) {
  std::vector<std::string> names;
  for (const auto& [name, p] : group.parameters) names.push_back(name);
  return names;
}

TEST(ParameterGroups, DecayIsForMatricesOnly) {
  const auto groups = decay_matrices_only(parameters(), 0.1);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_THAT(names_of(groups[0]), ElementsAre("wte.weight", "h.weight"));
  EXPECT_EQ(groups[0].options.weight_decay, 0.1);
  EXPECT_THAT(names_of(groups[1]), ElementsAre("h.bias"));
  EXPECT_EQ(groups[1].options.weight_decay, 0);
  EXPECT_EQ(decay_matrices_only({{"b", ones({2})}}, 0.1).size(), 1u);
}

TEST(ParameterGroups, TheFirstThatTakesAParameterHasIt) {
  const auto is_embedding = [](const std::string& name, const Tensor&) {
    return name.starts_with("wte");
  };
  const auto nothing = [](const std::string&, const Tensor&) { return false; };
  const auto groups = group_parameters(parameters(), {{nothing},
                                                      {is_embedding, {.lr_factor = 0.5}},
                                                      {is_matrix, {.weight_decay = 0.1}},
                                                      {any_parameter}});
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_THAT(names_of(groups[0]), ElementsAre("wte.weight"));
  EXPECT_EQ(groups[0].options.lr_factor, 0.5);
  EXPECT_THAT(names_of(groups[1]), ElementsAre("h.weight"));
  EXPECT_THAT(names_of(groups[2]), ElementsAre("h.bias"));
}

TEST(ParameterGroups, NameWhatNobodyTakes) {
  EXPECT_THAT([] { group_parameters(parameters(), {{is_matrix}}); },
              ThrowsMessage<InvalidArgument>(
                  "group_parameters: no selector takes parameter 'h.bias' of shape [2]; end the "
                  "list with any_parameter"));
}

}  // namespace
}  // namespace trireme
