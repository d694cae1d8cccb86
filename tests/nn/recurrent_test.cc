// What only recurrent layers have; tests/golden compares them with torch's.

#include "core/nn/recurrent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

Tensor wave(const Shape& shape, double frequency, double phase, double amplitude) {
  std::vector<double> values(static_cast<size_t>(shape.product()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = amplitude * std::sin(frequency * double(i) + phase);
  }
  return from_vector(values, shape);
}

void expect_near(const Tensor& got, const std::vector<double>& want, const std::string& what) {
  const auto values = got.to_vector<double>();
  ASSERT_EQ(values.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(values[i], want[i], 1e-12) << what << i;
}

TEST(Lstm, ContinuesFromTheStateItGave) {
  Generator generator(1);
  const Lstm net({.in = 2, .hidden = 3, .layers = 2}, generator, {DType::kF64});
  const Tensor x = wave({2, 6, 2}, 0.9, 0, 1);
  const auto whole = net.forward(x);
  const auto begin = net.forward(slice(x, 1, 0, 4));
  const auto end = net.forward(slice(x, 1, 4, 6), begin.state);
  expect_near(concat({begin.y, end.y}, 1), whole.y.to_vector<double>(), "y ");
  expect_near(end.state.c, whole.state.c.to_vector<double>(), "c ");
}

TEST(Lstm, WithoutARecordGivesTheSame) {
  Generator generator(1);
  const Lstm net({.in = 2, .hidden = 3}, generator, {DType::kF64});
  const Tensor x = wave({2, 5, 2}, 0.9, 0, 1);
  const auto recorded = net.forward(x);
  const NoGrad guard;
  expect_near(net.forward(x).y, recorded.y.to_vector<double>(), "y ");
}

TEST(Lstm, DropsBetweenLayersInTrainingOnly) {
  Generator generator(1);
  Lstm net({.in = 2, .hidden = 8, .layers = 2, .dropout = 0.5}, generator, {DType::kF64});
  const Tensor x = wave({2, 3, 2}, 0.9, 0, 1);
  EXPECT_NE(net.forward(x).y.to_vector<double>(), net.forward(x).y.to_vector<double>());
  EXPECT_EQ(net.named_generators().size(), 1u);
  net.eval();
  EXPECT_EQ(net.forward(x).y.to_vector<double>(), net.forward(x).y.to_vector<double>());
}

TEST(Recurrent, RefusesOperandsThatDoNotFit) {
  Generator generator(1);
  const Lstm net({.in = 2, .hidden = 3}, generator);
  EXPECT_THAT(message_of([&] {
                net.forward(zeros({2, 2}));
              }),
              HasSubstr("lstm: x must be [batch, time, in], got [2, 2]"));
  EXPECT_THAT(message_of([&] {
                net.forward(zeros({2, 3, 4}));
              }),
              HasSubstr("lstm: the input weight must be [4, 12] for x of [2, 3, 4], got [2, 12]"));
  EXPECT_THAT(message_of([&] {
                net.forward(zeros({2, 0, 2}));
              }),
              HasSubstr("lstm: needs at least one step of time, got x of [2, 0, 2]"));
  EXPECT_THAT(message_of([&] {
                net.forward(zeros({2, 3, 2}), {zeros({2, 3}), {}});
              }),
              HasSubstr("lstm: states must be [1, 2, 3] for x of [2, 3, 2], got [2, 3]"));
  const Tensor long_one = from_vector<int64_t>({3, 4}, {2});
  EXPECT_THAT(message_of([&] {
                net.forward(zeros({2, 3, 2}), {}, long_one);
              }),
              HasSubstr("lstm: length must lie in [0, 4), got 4 at position 1"));
  EXPECT_THAT(message_of([&] {
                net.forward(zeros({2, 3, 2}), {}, zeros({3}, {DType::kI64}));
              }),
              HasSubstr("lstm: lengths must be [2] for x of [2, 3, 2], got [3]"));
}

}  // namespace
}  // namespace trireme
