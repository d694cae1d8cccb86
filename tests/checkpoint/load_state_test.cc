#include "core/checkpoint/load_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/tensor/create.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;

TEST(LoadState, CopiesInPlaceByNameAndConvertsTheDtype) {
  Tensor w = zeros({2}, {DType::kF64});
  w.set_requires_grad();
  const Tensor n = zeros({1}, {DType::kI64});
  EXPECT_TRUE(load_state({{"w", w}, {"n", n}}, {{"n", from_vector<int64_t>({9}, {1})},
                                                {"w", from_vector<float>({1.5f, 2}, {2})}})
                  .empty());
  EXPECT_THAT(w.to_vector<double>(), ElementsAre(1.5, 2));
  EXPECT_TRUE(w.requires_grad() && w.is_leaf());
  EXPECT_EQ(n.item(), 9);
}

TEST(LoadState, NamesEverythingThatDoesNotFitAndCopiesNothing) {
  const Tensor a = zeros({2}), b = zeros({3, 2}), c = zeros({1});
  const StateDict source = {{"a", ones({2})}, {"b", ones({2, 3})}, {"extra", ones({1})}};
  const auto load = [&] { load_state({{"a", a}, {"b", b}, {"c", c}}, source); };
  EXPECT_THAT(message_of<DataError>(load),
              AllOf(HasSubstr("1 missing (c)"), HasSubstr("b is [3, 2] but [2, 3] there"),
                    HasSubstr("1 unexpected (extra)")));
  EXPECT_THAT(a.to_vector<float>(), ElementsAre(0, 0));
  EXPECT_THAT(message_of<DataError>([&] {
                load_state({{"a", a}}, source, Strictness::kExact, "run/model.safetensors");
              }),
              HasSubstr("2 unexpected (b, extra) in run/model.safetensors"));
}

TEST(LoadState, IgnoresUnexpectedTensorsWhenAsked) {
  const Tensor a = zeros({1});
  const StateDict source = {{"mask", ones({4})}, {"a", ones({1})}};
  EXPECT_THROW(load_state({{"a", a}}, source), DataError);
  EXPECT_THAT(load_state({{"a", a}}, source, Strictness::kIgnoreUnexpected), ElementsAre("mask"));
  EXPECT_EQ(a.item(), 1);
  EXPECT_THAT(message_of<DataError>([&] {
                load_state({{"a", a}, {"z", a}}, source, Strictness::kIgnoreUnexpected);
              }),
              AllOf(HasSubstr("1 missing (z)"), Not(HasSubstr("mask"))));
}

TEST(LoadState, LongListsAreShortened) {
  StateDict target;
  for (char name = 'a'; name <= 'h'; ++name) target.emplace_back(std::string(1, name), ones({1}));
  EXPECT_THAT(message_of<DataError>([&] { load_state(target, {}); }),
              HasSubstr("8 missing (a, b, c, d, e, ...)"));
}

}  // namespace
}  // namespace trireme
