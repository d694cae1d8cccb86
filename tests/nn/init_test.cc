#include "core/nn/init.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/tensor/create.h"

namespace trireme {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

struct Statistics {
  double mean, deviation, low, high;
};

// Over a weight of 200 x 800 elements: the mean errs by deviation / 400.
Statistics statistics(DType dtype, const std::function<void(const Tensor&, Generator&)>& fill) {
  Generator generator(11);
  Tensor weight = zeros({200, 800}, {dtype});
  weight.set_requires_grad();
  fill(weight, generator);
  EXPECT_TRUE(weight.is_leaf());
  const std::vector<double> w = weight.to_vector<double>();
  double sum = 0, squares = 0;
  for (double v : w) sum += v;
  const double mean = sum / static_cast<double>(w.size());
  for (double v : w) squares += (v - mean) * (v - mean);
  const auto [low, high] = std::minmax_element(w.begin(), w.end());
  return {mean, std::sqrt(squares / static_cast<double>(w.size())), *low, *high};
}

class Init : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, Init, ::testing::Values(DType::kF32, DType::kF64));

TEST_P(Init, UniformFillsItsInterval) {
  const auto s =
      statistics(GetParam(), [](const Tensor& w, Generator& g) { init::uniform(w, -1.0, 3.0, g); });
  EXPECT_NEAR(s.mean, 1, 0.015);
  EXPECT_NEAR(s.deviation, 4 / std::sqrt(12.0), 0.015);
  EXPECT_TRUE(s.low >= -1 && s.low < -0.99 && s.high <= 3 && s.high > 2.99);
}

TEST_P(Init, NormalHasItsMoments) {
  const auto s =
      statistics(GetParam(), [](const Tensor& w, Generator& g) { init::normal(w, -2.0, 0.5, g); });
  EXPECT_NEAR(s.mean, -2, 0.006);
  EXPECT_NEAR(s.deviation, 0.5, 0.006);
}

TEST_P(Init, TruncatedNormalStaysInside) {
  const auto s = statistics(
      GetParam(), [](const Tensor& w, Generator& g) { init::trunc_normal(w, 0, 2, -2, 2, g); });
  EXPECT_NEAR(s.mean, 0, 0.015);
  // A normal distribution cut at one deviation on both sides has 0.5396 of the deviation.
  EXPECT_NEAR(s.deviation, 2 * 0.5396, 0.015);
  EXPECT_TRUE(s.low >= -2 && s.low < -1.99 && s.high <= 2 && s.high > 1.99);
}

TEST_P(Init, XavierDividesByBothFans) {
  const double deviation = 3 * std::sqrt(2.0 / 1000);
  const auto n =
      statistics(GetParam(), [](const Tensor& w, Generator& g) { init::xavier_normal(w, g, 3); });
  EXPECT_NEAR(n.deviation, deviation, 0.01 * deviation);
  const auto u =
      statistics(GetParam(), [](const Tensor& w, Generator& g) { init::xavier_uniform(w, g, 3); });
  EXPECT_NEAR(u.deviation, deviation, 0.01 * deviation);
  EXPECT_NEAR(u.high, std::sqrt(3.0) * deviation, 0.01 * deviation);
}

TEST_P(Init, KaimingDividesByTheInputs) {
  const double deviation = std::sqrt(2.0 / 200);
  const auto n =
      statistics(GetParam(), [](const Tensor& w, Generator& g) { init::kaiming_normal(w, g); });
  EXPECT_NEAR(n.deviation, deviation, 0.01 * deviation);
  const auto u =
      statistics(GetParam(), [](const Tensor& w, Generator& g) { init::kaiming_uniform(w, g); });
  EXPECT_NEAR(u.deviation, deviation, 0.01 * deviation);
  EXPECT_NEAR(u.low, -std::sqrt(3.0) * deviation, 0.01 * deviation);
}

double deviation_of(const Shape& shape, const std::function<void(const Tensor&)>& fill) {
  const Tensor w = zeros(shape, {DType::kF64});
  fill(w);
  double squares = 0;
  for (double v : w.to_vector<double>()) squares += v * v;
  return std::sqrt(squares / static_cast<double>(w.numel()));
}

TEST(InitKaiming, TakesTheFanAndTheNonlinearityThatItIsTold) {
  Generator generator(3);
  const auto check = [&](const Shape& shape, init::KaimingOptions options, double want) {
    const auto fill = [&](const auto& function) {
      return [&, function](const Tensor& w) { function(w, generator, options); };
    };
    EXPECT_NEAR(deviation_of(shape, fill(init::kaiming_normal)), want, 0.02 * want);
    EXPECT_NEAR(deviation_of(shape, fill(init::kaiming_uniform)), want, 0.02 * want);
  };
  using init::Fan;
  using init::Nonlinearity;
  check({100, 400}, {.fan = Fan::kIn}, std::sqrt(2.0 / 100));
  check({100, 400}, {.fan = Fan::kOut}, std::sqrt(2.0 / 400));
  check({100, 400}, {.nonlinearity = Nonlinearity::kLinear}, std::sqrt(1.0 / 100));
  check({100, 400}, {.nonlinearity = Nonlinearity::kTanh}, 5.0 / 3 / 10);
  check({100, 400}, {.nonlinearity = Nonlinearity::kLeakyRelu, .slope = 0.2},
        std::sqrt(2 / 1.04 / 100));
  // Filters [out, .., in] of one and of two dimensions.
  check({80, 5, 60}, {.fan = Fan::kIn}, std::sqrt(2.0 / 300));
  check({80, 5, 60}, {.fan = Fan::kOut}, std::sqrt(2.0 / 400));
  check({80, 3, 2, 60}, {.fan = Fan::kIn}, std::sqrt(2.0 / 360));
  check({80, 3, 2, 60}, {.fan = Fan::kOut}, std::sqrt(2.0 / 480));
}

TEST(InitGain, IsTorchs) {  // torch.nn.init.calculate_gain
  using init::Nonlinearity;
  EXPECT_EQ(init::gain(Nonlinearity::kLinear), 1);
  EXPECT_EQ(init::gain(Nonlinearity::kSigmoid), 1);
  EXPECT_DOUBLE_EQ(init::gain(Nonlinearity::kTanh), 1.6666666666666667);
  EXPECT_DOUBLE_EQ(init::gain(Nonlinearity::kRelu), 1.4142135623730951);
  EXPECT_DOUBLE_EQ(init::gain(Nonlinearity::kLeakyRelu), 1.4141428569978354);
  EXPECT_DOUBLE_EQ(init::gain(Nonlinearity::kLeakyRelu, 0.2), 1.3867504905630728);
  EXPECT_DOUBLE_EQ(init::gain(Nonlinearity::kSelu), 0.75);
}

TEST(InitOrthogonal, HasOrthonormalRowsOrColumns) {
  Generator generator(9);
  for (const Shape& shape : {Shape{20, 50}, Shape{50, 20}, Shape{30, 30}, Shape{8, 3, 3, 2}}) {
    const Tensor w = zeros(shape, {DType::kF64});
    init::orthogonal(w, generator, 3);
    const std::vector<double> v = w.to_vector<double>();
    const int64_t rows = shape[0], cols = w.numel() / rows;
    const bool by_row = rows <= cols;
    const int64_t count = std::min(rows, cols), length = std::max(rows, cols);
    const auto at = [&](int64_t i, int64_t k) {
      return v[static_cast<size_t>(by_row ? i * cols + k : k * cols + i)];
    };
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        double product = 0;
        for (int64_t k = 0; k < length; ++k) product += at(i, k) * at(j, k);
        ASSERT_NEAR(product, i == j ? 9 : 0, 1e-12) << shape << " " << i << " " << j;
      }
    }
  }
}

TEST(InitOrthogonal, FavoursNoDirection) {
  // The mean square of each element of a rotation is 1 / n, its mean 0.
  Generator generator(2);
  constexpr int kDraws = 4000;
  std::vector<double> sums(9), squares(9);
  for (int draw = 0; draw < kDraws; ++draw) {
    const Tensor w = zeros({3, 3}, {DType::kF64});
    init::orthogonal(w, generator);
    const auto v = w.to_vector<double>();
    for (size_t i = 0; i < 9; ++i) sums[i] += v[i], squares[i] += v[i] * v[i];
  }
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_NEAR(sums[i] / kDraws, 0, 0.05) << i;
    EXPECT_NEAR(squares[i] / kDraws, 1.0 / 3, 0.03) << i;
  }
}

TEST(InitConstants, FillEveryElement) {
  Tensor w = empty({3, 2});
  w.set_requires_grad();
  init::ones(w);
  EXPECT_THAT(w.to_vector<float>(), Each(1));
  init::constant(w, -2.5);
  EXPECT_THAT(w.to_vector<float>(), Each(-2.5f));
  init::zeros(w);
  EXPECT_THAT(w.to_vector<float>(), Each(0));
}

TEST(InitSeeds, DecideTheValues) {
  const auto values = [](uint64_t seed) {
    Generator generator(seed);
    const Tensor w = empty({5});
    init::normal(w, 0, 1, generator);
    auto v = w.to_vector<float>();
    init::normal(w, 0, 1, generator);
    for (float second : w.to_vector<float>()) v.push_back(second);
    return v;
  };
  EXPECT_EQ(values(1), values(1));
  EXPECT_NE(values(1), values(2));
  EXPECT_NE(values(1)[0], values(1)[5]);
}

TEST(InitErrors, SayWhatIsWrong) {
  Generator generator(1);
  EXPECT_THAT([&] { init::xavier_uniform(zeros({3}), generator); },
              ThrowsMessage<InvalidArgument>("xavier_uniform: needs a matrix [in, out] or filters "
                                             "[out, .., in], got shape [3]"));
  EXPECT_THAT([&] { init::kaiming_normal(zeros({}), generator); },
              ThrowsMessage<InvalidArgument>(HasSubstr("kaiming_normal: needs a matrix")));
  EXPECT_THAT([&] { init::orthogonal(zeros({4}), generator); },
              ThrowsMessage<InvalidArgument>(HasSubstr("orthogonal: needs a matrix")));
  EXPECT_THAT([&] { init::orthogonal(Tensor(), generator); },
              ThrowsMessage<InvalidArgument>("orthogonal: the weight is undefined"));
  EXPECT_THAT([&] { init::trunc_normal(Tensor(), 0, 1, -2, 2, generator); },
              ThrowsMessage<InvalidArgument>("trunc_normal: the weight is undefined"));
  EXPECT_THAT([&] { init::uniform(zeros({3}), 2, 1, generator); },
              ThrowsMessage<InvalidArgument>("uniform: low must not exceed high, got 2 and 1"));
  EXPECT_THAT([&] { init::normal(zeros({3}), 0, -1, generator); },
              ThrowsMessage<InvalidArgument>("normal: deviation must not be negative, got -1"));
  // Drawing until one falls inside would take for ever.
  EXPECT_THAT([&] { init::trunc_normal(zeros({3}), 0, 1, 50, 51, generator); },
              ThrowsMessage<InvalidArgument>(HasSubstr("[50, 51] must hold at least")));
  EXPECT_THAT([&] { init::trunc_normal(zeros({3}), 0, 1, 1, -1, generator); },
              ThrowsMessage<InvalidArgument>(HasSubstr("[1, -1] must hold at least")));
  EXPECT_THAT([&] { init::trunc_normal(zeros({3}), 0, 0, -1, 1, generator); },
              ThrowsMessage<InvalidArgument>("trunc_normal: deviation must be positive, got 0"));
}

}  // namespace
}  // namespace trireme
