// Convolutions against torch (tests/golden/make_convolutions.py) with their first and second
// gradients, and the errors of their operands.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

using Json = nlohmann::json;
using Tensors = std::vector<Tensor>;

Tensor wave(const Shape& shape, double frequency, double phase) {
  std::vector<double> values(static_cast<size_t>(shape.product()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = 0.7 * std::sin(frequency * double(i) + phase);
  }
  return from_vector(values, shape).set_requires_grad();
}

Shape shape_in(const Json& entry) { return Shape(entry.get<std::vector<int64_t>>()); }

std::array<int64_t, 2> pair_in(const Json& entry) { return {entry.at(0), entry.at(1)}; }

Tensor run(const Json& c, const Tensors& in) {
  const std::string kind = c.at("kind");
  const Tensor bias = in.size() > 2 ? in[2] : Tensor();
  const int64_t groups = c.at("groups");
  const Json &stride = c.at("stride"), &padding = c.at("padding"), &dilation = c.at("dilation");
  if (kind == "conv2d") {
    return conv2d(in[0], in[1], bias,
                  {pair_in(stride), pair_in(padding), pair_in(dilation), groups});
  }
  if (kind == "conv1d") {
    return conv1d(in[0], in[1], bias, {stride[0], padding[0], dilation[0], groups});
  }
  const Json& more = c.at("output_padding");
  if (kind == "conv_transpose2d") {
    return conv_transpose2d(
        in[0], in[1], bias,
        {pair_in(stride), pair_in(padding), pair_in(more), pair_in(dilation), groups});
  }
  return conv_transpose1d(in[0], in[1], bias,
                          {stride[0], padding[0], more[0], dilation[0], groups});
}

void expect_near(const Tensor& got, const std::vector<double>& want, const std::string& what) {
  const auto values = got.to_vector<double>();
  ASSERT_EQ(values.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_NEAR(values[i], want[i], 1e-11 * std::max(1.0, std::abs(want[i]))) << what << i;
  }
}

TEST(ConvolutionGolden, ResultsAndBothGradientsAreTorchs) {
  std::ifstream file(TRIREME_GOLDEN_DIR "/convolutions.json");
  const Json cases = Json::parse(file);
  ASSERT_EQ(cases.size(), 9u);
  for (size_t number = 0; number < cases.size(); ++number) {
    const Json& c = cases[number];
    const std::string name = concat(c.at("kind").get<std::string>(), " (", number, ") ");
    Tensors leaves{wave(shape_in(c.at("x")), 0.9, 0.1), wave(shape_in(c.at("weight")), 1.3, 0.4)};
    if (c.at("bias") > 0) leaves.push_back(wave({c.at("bias").get<int64_t>()}, 0.5, 1.0));
    const Tensor y = run(c, leaves);
    EXPECT_EQ(y.shape(), shape_in(c.at("shape"))) << name;
    expect_near(y, c.at("y"), name);
    const Tensors first = grad({sum(square(y)) * 0.5}, leaves, {.create_graph = true});
    Tensor squares = sum(square(first[0]));
    for (size_t i = 1; i < first.size(); ++i) squares = squares + sum(square(first[i]));
    const Tensors second = grad({squares}, leaves);
    for (size_t i = 0; i < leaves.size(); ++i) {
      expect_near(first[i], c.at("first")[i], concat(name, "gradient ", i, " at "));
      expect_near(second[i], c.at("second")[i], concat(name, "second gradient ", i, " at "));
    }
  }
}

// The formula that runs unrecorded computes the same bits.
TEST(Convolution, GradientsWithAndWithoutHistoryAreEqual) {
  const Tensor x = wave({2, 5, 4, 3}, 0.9, 0.1), w = wave({4, 3, 2, 3}, 1.3, 0.4);
  const auto gradients = [&](bool create_graph) {
    const Tensor y = conv2d(x, w, {}, {.stride = {2, 1}, .padding = {1, 0}});
    return grad({sum(square(y))}, {x, w}, {.create_graph = create_graph});
  };
  const Tensors plain = gradients(false), recorded = gradients(true);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_FALSE(plain[i].requires_grad());
    EXPECT_TRUE(recorded[i].requires_grad());
    EXPECT_EQ(plain[i].to_vector<double>(), recorded[i].to_vector<double>());
  }
}

TEST(Convolution, CanBeDifferentiatedOverAndOver) {
  const Tensor x = from_vector<double>({2}, {1, 1, 1}).set_requires_grad();
  const Tensor squared = conv1d(x, x);
  Tensor d = conv_transpose1d(squared, squared);  // x^4
  for (double want : {32.0, 48.0, 48.0, 24.0}) {
    d = grad({sum(d)}, {x}, {.create_graph = true})[0];
    EXPECT_DOUBLE_EQ(d.item(), want);
  }
}

TEST(ConvolutionErrors, NameOperandsOfTheTransposedKind) {
  const Tensor x = zeros({1, 4, 4, 3});
  EXPECT_EQ(message_of([&] {
              conv_transpose2d(x, zeros({2, 3, 3, 4}));
            }),
            "conv_transpose2d: channels of x [1, 4, 4, 3] must be the first extent of weight "
            "[2, 3, 3, 4], which the 1 groups must divide");
  EXPECT_THAT(message_of([&] {
                conv_transpose2d(x, zeros({3, 2, 2, 1}), {}, {.groups = 2});
              }),
              HasSubstr("which the 2 groups must divide"));
  EXPECT_EQ(
      message_of([&] {
        conv_transpose2d(x, zeros({3, 2, 2, 1}), {}, {.stride = {1, 2}, .output_padding = {0, 2}});
      }),
      "conv_transpose2d: output padding must be at least 0 and less than the stride 2, got 2");
  EXPECT_THAT(message_of([&] {
                conv_transpose2d(x, zeros({3, 2, 2, 1}), {}, {.output_padding = {-1, 0}});
              }),
              HasSubstr("must be at least 0 and less than the stride 1, got -1"));
  EXPECT_EQ(
      message_of([&] {
        conv_transpose2d(x, zeros({3, 2, 2, 1}), {}, {.padding = {0, 3}});
      }),
      "conv_transpose2d: nothing is left of x [1, 4, 4, 3] with a weight of [3, 2, 2, 1] when "
      "padding 3 is cut off on both sides");
  EXPECT_EQ(message_of([&] {
              conv_transpose2d(x, zeros({3, 2, 2, 1}), zeros({3}));
            }),
            "conv_transpose2d: bias must be [1] for a weight of [3, 2, 2, 1], got [3]");
  EXPECT_THAT(message_of([&] {
                conv_transpose2d(zeros({1, 0, 4, 3}), zeros({3, 2, 2, 1}));
              }),
              HasSubstr("got [1, 0, 4, 3]"));
}

TEST(ConvolutionErrors, NameOperandsOfSequences) {
  const Tensor x = zeros({2, 5, 4});
  EXPECT_EQ(message_of([&] {
              conv1d(zeros({2, 5, 4, 1}), zeros({3, 2, 4}));
            }),
            "conv1d: x must be [batch, length, channels], got [2, 5, 4, 1]");
  EXPECT_EQ(message_of([&] {
              conv1d(x, zeros({3, 2, 2, 4}));
            }),
            "conv1d: weight must be [out, kernel, in / groups], got [3, 2, 2, 4]");
  EXPECT_THAT(message_of([&] {
                conv1d(x, zeros({3, 3, 4}), {}, {.dilation = 3});
              }),
              HasSubstr("the kernel of [3, 3, 4] with dilation 3 must fit into x [2, 5, 4]"));
  EXPECT_EQ(message_of([&] {
              conv1d(x, zeros({3, 3, 4}), {}, {.groups = 0});
            }),
            "conv1d: groups must be at least 1, got 0");
  EXPECT_EQ(message_of([&] {
              conv1d(x, zeros({3, 3, 4}), {}, {.groups = int64_t{1} << 62});
            }),
            "conv1d: groups must be at most 2147483647, got 4611686018427387904");
  EXPECT_THAT(message_of([&] {
                conv1d(x, zeros({3, 3, 4}), {}, {.stride = 0});
              }),
              HasSubstr("got 0, 1 and 0"));
  EXPECT_THAT(message_of([&] {
                conv1d(x, zeros({3, 3, 4}, {DType::kF64}));
              }),
              HasSubstr("conv1d: dtypes differ, lhs is f32 but rhs is f64"));
  EXPECT_EQ(message_of([&] {
              conv_transpose1d(x, zeros({4, 4}));
            }),
            "conv_transpose1d: weight must be [in, kernel, out / groups], got [4, 4]");
  EXPECT_EQ(
      message_of([&] {
        conv_transpose1d(x, zeros({4, 2, 3}), {}, {.output_padding = 1});
      }),
      "conv_transpose1d: output padding must be at least 0 and less than the stride 1, got 1");
}

}  // namespace
}  // namespace trireme
