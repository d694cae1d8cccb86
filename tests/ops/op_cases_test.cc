// Runs the op table: every row of every group through every check of the harness.

#include <gtest/gtest.h>

#include "tests/ops/op_cases.h"

namespace trireme::testing {

std::vector<OpCase> all_cases() {
  std::vector<OpCase> all;
  for (auto* group : {
           index_cases,      order_cases,     shaping_cases,   statistics_cases, comparing_cases,
           einsum_cases,     pointwise_cases, binary_cases,    reduction_cases,  view_cases,
           product_cases,    network_cases,   attention_cases, image_cases,      fused_cases,
           activation_cases, loss_cases,      recurrent_cases, rotary_cases,     convolution_cases,
       }) {
    for (OpCase& row : group()) all.push_back(std::move(row));
  }
  return all;
}

namespace {

// The rows a check applies to: what cannot be is not even listed.
std::vector<OpCase> cases_where(bool (*holds)(const OpCase&)) {
  std::vector<OpCase> rows = all_cases();
  std::erase_if(rows, [&](const OpCase& row) { return !holds(row); });
  return rows;
}
std::string name_of_case(const ::testing::TestParamInfo<OpCase>& row) { return row.param.name; }

class Op : public ::testing::TestWithParam<OpCase> {};
TEST_P(Op, EqualsReference) { check_reference(GetParam()); }
TEST_P(Op, TakesNonContiguous) { check_non_contiguous(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, Op, ::testing::ValuesIn(all_cases()), name_of_case);

class OpGradient : public Op {};
TEST_P(OpGradient, EqualsDifferences) { check_gradient(GetParam()); }
TEST_P(OpGradient, CanBeDifferentiatedAgainOrRefusesByName) { check_second_gradient(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, OpGradient, ::testing::ValuesIn(cases_where([](const OpCase& row) {
                           return row.differentiable;
                         })),
                         name_of_case);

class OpOnEmpty : public Op {};
TEST_P(OpOnEmpty, EqualsReference) { check_empty(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, OpOnEmpty, ::testing::ValuesIn(cases_where([](const OpCase& row) {
                           return row.empty_shapes != kNotApplicable;
                         })),
                         name_of_case);

class OpOnOneElement : public Op {};
TEST_P(OpOnOneElement, EqualsReference) { check_one_element(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, OpOnOneElement,
                         ::testing::ValuesIn(cases_where([](const OpCase& row) {
                           return row.one_shapes != kNotApplicable;
                         })),
                         name_of_case);

}  // namespace
}  // namespace trireme::testing
