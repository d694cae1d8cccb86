// Recurrent layers against torch.nn (tests/golden/make_recurrent.py), and what only they have.

#include "core/nn/recurrent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

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

nlohmann::json golden() {
  std::ifstream file(TRIREME_GOLDEN_DIR "/recurrent.json");
  return nlohmann::json::parse(file);
}

/// y and the last states of a layer of any kind, from first states of as many kinds.
using Forward = std::function<std::vector<Tensor>(const Tensor& x, const std::vector<Tensor>& first,
                                                  const Tensor& lengths)>;

void follow(const nlohmann::json& file, const nlohmann::json& want, RecurrentLayers& net,
            const Forward& forward) {
  const auto names = net.named_parameters();
  ASSERT_EQ(names.size(), want.at("parameters").size());
  for (size_t k = 0; k < names.size(); ++k) {
    copy_inplace(names[k].second.detach(), wave(names[k].second.shape(), 1.3, double(k), 0.6));
  }
  const auto batch = file.at("batch").get<int64_t>();
  Tensor x =
      wave({batch, file.at("time").get<int64_t>(), file.at("in").get<int64_t>()}, 0.9, 0.1, 1);
  x.set_requires_grad();
  std::vector<Tensor> first;
  for (size_t k = 0; k < want.at("dfirst").size(); ++k) {
    first.push_back(wave(net.state_shape(batch), 0.5, double(k), 0.5).set_requires_grad());
  }
  Tensor lengths;
  if (!want.at("lengths").is_null()) {
    lengths = from_vector(want.at("lengths").get<std::vector<int64_t>>(), {batch});
  }
  const std::vector<Tensor> results = forward(x, first, lengths);
  Tensor loss = zeros({}, {DType::kF64});
  for (size_t k = 0; k < results.size(); ++k) {
    expect_near(results[k], want.at("results")[k], concat("result ", k, " element "));
    loss = loss + sum(results[k] * wave(results[k].shape(), 1.9, double(k), 1));
  }
  backward(loss);
  expect_near(x.grad(), want.at("dx"), "dx ");
  for (size_t k = 0; k < first.size(); ++k) {
    expect_near(first[k].grad(), want.at("dfirst")[k], concat("first state ", k, " element "));
  }
  for (const auto& [name, parameter] : names) {
    expect_near(parameter.grad(), want.at("parameters").at(name), name + " ");
  }
}

class RecurrentGolden : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Torch, RecurrentGolden, ::testing::ValuesIn([] {
                           std::vector<std::string> names;
                           const nlohmann::json file = golden();
                           for (const auto& item : file.at("cases").items()) {
                             names.push_back(item.key());
                           }
                           return names;
                         }()),
                         [](const auto& instance) { return instance.param; });

TEST_P(RecurrentGolden, ResultsAndGradientsAreTorchs) {
  const nlohmann::json file = golden();
  const std::string& name = GetParam();
  const nlohmann::json& want = file.at("cases").at(name);
  RecurrentConfig config{.in = file.at("in"), .hidden = file.at("hidden")};
  config.layers = want.at("layers");
  config.directions = want.at("both").get<bool>() ? Directions::kBoth : Directions::kOne;
  config.bias = name == "lstm_no_bias" ? Bias::kNo : Bias::kYes;
  Generator generator(1);
  const TensorOptions f64{DType::kF64};
  if (name.starts_with("lstm")) {
    Lstm net(config, generator, f64);
    follow(file, want, net, [&](const Tensor& x, const auto& first, const Tensor& lengths) {
      const auto [y, state] = net.forward(x, {first[0], first[1]}, lengths);
      return std::vector{y, state.h, state.c};
    });
  } else if (name.starts_with("gru")) {
    Gru net(config, generator, f64);
    follow(file, want, net, [&](const Tensor& x, const auto& first, const Tensor& lengths) {
      const auto [y, h] = net.forward(x, first[0], lengths);
      return std::vector{y, h};
    });
  } else {
    Rnn net(config, generator, name == "rnn_relu" ? Nonlinearity::kRelu : Nonlinearity::kTanh, f64);
    follow(file, want, net, [&](const Tensor& x, const auto& first, const Tensor& lengths) {
      const auto [y, h] = net.forward(x, first[0], lengths);
      return std::vector{y, h};
    });
  }
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
