// bf16 and f16 tensors where the op table does not reach: conversions, gradients that add up,
// dtypes that may differ, optimizers and loading.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "core/autograd/backward.h"
#include "core/checkpoint/load_state.h"
#include "core/nn/layers.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "core/optim/clip.h"
#include "core/tensor/create.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;

class HalfTensors : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, HalfTensors, ::testing::Values(DType::kBF16, DType::kF16),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

TEST_P(HalfTensors, ConversionIsDifferentiableBothWays) {
  Tensor x = from_vector<float>({1.5f, -2, 3}, {3}).set_requires_grad();
  const Tensor narrow = to(x, GetParam());
  EXPECT_EQ(narrow.dtype(), GetParam());
  backward(sum(square(to(narrow, DType::kF32))));
  EXPECT_EQ(x.grad().dtype(), DType::kF32);
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(3, -4, 6));

  Tensor h = full({3}, 2, {GetParam()}).set_requires_grad();
  backward(sum(to(h, DType::kF64) * 0.5));
  EXPECT_EQ(h.grad().dtype(), GetParam());
  EXPECT_THAT(h.grad().to_vector<float>(), ElementsAre(0.5f, 0.5f, 0.5f));
}

TEST_P(HalfTensors, ContributionsToALeafAddUp) {
  Tensor x = full({2}, 3, {GetParam()}).set_requires_grad();
  backward(sum(x * x + x));  // three contributions
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(7, 7));
  backward(sum(x));
  EXPECT_EQ(x.grad().dtype(), GetParam());
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(8, 8));
}

TEST_P(HalfTensors, PrintAndCountAsNumbers) {
  const Tensor x = arange(3, {GetParam()});
  std::ostringstream text;
  text << x;
  EXPECT_EQ(text.str(), std::string("Tensor ") + name_of(GetParam()) + "[3] {0, 1, 2}");
  EXPECT_EQ(scalar(2.5, {GetParam()}).item(), 2.5);
  EXPECT_EQ((x + 0.5).to_vector<double>(), (std::vector<double>{0.5, 1.5, 2.5}));
  Generator generator(3);
  const Tensor draws = rand({1000}, generator, {GetParam()});
  EXPECT_LT(max(draws).item(), 1);
  EXPECT_NEAR(mean(draws).item(), 0.5, 0.05);
}

TEST_P(HalfTensors, DoNotMixSilently) {
  const Tensor h = ones({2, 2}, {GetParam()}), f = ones({2, 2});
  EXPECT_THAT(message_of<InvalidArgument>([&] { add(h, f); }), HasSubstr("dtypes differ"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { matmul(h, f); }), HasSubstr("dtypes differ"));
}

TEST_P(HalfTensors, LossAndStatisticsAreF32) {
  Tensor logits = from_vector<float>({1, 2, 3, 4}, {2, 2});
  logits = to(logits, GetParam()).set_requires_grad();
  const Tensor loss = cross_entropy(logits, from_vector<int64_t>({0, 1}, {2}));
  EXPECT_EQ(loss.dtype(), DType::kF32);
  EXPECT_NEAR(loss.item(), (std::log1p(std::exp(1.0)) + std::log1p(std::exp(-1.0))) / 2, 1e-6);
  backward(loss);
  EXPECT_EQ(logits.grad().dtype(), GetParam());

  const Tensor x = to(from_vector<float>({1, 2, 3, 5}, {2, 2}), GetParam());
  Tensor gamma = ones({2}).set_requires_grad();
  Tensor beta = zeros({2}, {GetParam()}).set_requires_grad();
  const Tensor mean = zeros({2}), var = ones({2});
  backward(sum(batch_norm(x, gamma, beta, mean, var)));
  EXPECT_EQ(gamma.grad().dtype(), DType::kF32);
  EXPECT_EQ(beta.grad().dtype(), GetParam());
  EXPECT_FLOAT_EQ(mean.to_vector<float>()[1], 0.35f);
  const Tensor narrow = zeros({2}, {GetParam()});
  EXPECT_THAT(message_of<InvalidArgument>([&] { batch_norm(x, gamma, beta, narrow, var); }),
              HasSubstr("batch_norm: running_mean must be f32 for x of"));
}

// A step too small for the last bit of a 16-bit parameter still moves the averages.
TEST_P(HalfTensors, OptimizerKeepsItsAveragesInF32) {
  Generator generator(1);
  Linear layer(3, 2, generator, Bias::kYes, {GetParam()});
  AdamW optimizer({{layer.named_parameters(), {}}}, {.lr = 0.5});
  const Tensor before = clone_detached(layer.weight());
  backward(sum(layer.forward(ones({4, 3}, {GetParam()}))));
  EXPECT_NEAR(grad_norm(layer.named_parameters()), std::sqrt(8 * 16.0), 1e-6);
  optimizer.step();
  for (const auto& [name, moment] : optimizer.state_dict()) {
    if (!name.starts_with("exp_avg")) continue;
    EXPECT_EQ(moment.dtype(), DType::kF32) << name;
  }
  const auto moved = (before - layer.weight()).to_vector<double>();
  for (double step : moved) EXPECT_NEAR(step, 0.5, 0.02);  // Adam's first step is the rate
}

TEST_P(HalfTensors, LoadIntoAModelOfAnotherDtype) {
  const StateDict file{{"w", to(from_vector<float>({1, -2.5f}, {2}), GetParam())}};
  const StateDict wide{{"w", zeros({2})}};
  load_state(wide, file);
  EXPECT_EQ(wide[0].second.dtype(), DType::kF32);
  EXPECT_THAT(wide[0].second.to_vector<float>(), ElementsAre(1, -2.5f));
  const StateDict narrow{{"w", zeros({2}, {GetParam()})}};
  load_state(narrow, {{"w", from_vector<double>({0.1, 3}, {2})}});
  EXPECT_THAT(narrow[0].second.to_vector<float>()[1], 3.0f);
  EXPECT_NEAR(narrow[0].second.to_vector<float>()[0], 0.1, 1e-3);
}

}  // namespace
}  // namespace trireme
