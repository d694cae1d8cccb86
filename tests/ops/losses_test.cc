// Losses and activations against torch (tests/golden/make_losses.py), at extreme values, and their
// errors.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;

constexpr float kInf = INFINITY;

Tensor wave(const Shape& shape, double frequency, double phase, double amplitude = 1.5) {
  std::vector<double> values(static_cast<size_t>(shape.product()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = amplitude * std::sin(frequency * double(i) + phase);
  }
  return from_vector(values, shape);
}

struct Case {
  std::vector<Tensor> operands;
  std::function<Tensor(const std::vector<Tensor>&)> op;
};

std::map<std::string, Case> cases() {
  const Tensor x = wave({4, 6}, 1.3, 0.2), y = wave({4, 6}, 0.7, 1.1);
  const Tensor probabilities = wave({4, 6}, 0.7, 1.1, 0.45) + 0.5;
  const Tensor targets = from_vector<int64_t>({2, 0, 5, 2}, {4});
  const Tensor ignored = from_vector<int64_t>({2, -100, 5, -100}, {4});
  const Tensor weight = wave({6}, 0.9, 0.4, 0.5) + 1.0;
  const Tensor positive = wave({6}, 0.5, 0.1, 0.5) + 1.5;
  const Tensor log_p = log_softmax(x), log_q = log_softmax(y);
  std::map<std::string, Case> all;
  const std::pair<const char*, Reduction> kReductions[] = {
      {"_none", Reduction::kNone}, {"_mean", Reduction::kMean}, {"_sum", Reduction::kSum}};
  for (const auto& [suffix, r] : kReductions) {
    const auto add = [&](const char* name, std::vector<Tensor> operands, auto op) {
      all[std::string(name) + suffix] = {std::move(operands), op};
    };
    using In = const std::vector<Tensor>&;
    add("mse", {x, y}, [r = r](In in) { return mse_loss(in[0], in[1], r); });
    add("l1", {x, y}, [r = r](In in) { return l1_loss(in[0], in[1], r); });
    add("smooth_l1", {x, y}, [r = r](In in) { return smooth_l1_loss(in[0], in[1], 0.7, r); });
    add("huber", {x, y}, [r = r](In in) { return huber_loss(in[0], in[1], 0.7, r); });
    add("kl_div", {log_p, exp(log_q)},
        [r = r](In in) { return kl_div(in[0], in[1], KlTarget::kProbability, r); });
    add("kl_div_log", {log_p, log_q},
        [r = r](In in) { return kl_div(in[0], in[1], KlTarget::kLog, r); });
    add("bce", {x, probabilities}, [r = r](In in) {
      return binary_cross_entropy_with_logits(in[0], in[1], {.reduction = r});
    });
    add("bce_weighted", {x, probabilities}, [r = r, weight, positive](In in) {
      return binary_cross_entropy_with_logits(
          in[0], in[1], {.weight = weight, .pos_weight = positive, .reduction = r});
    });
    add("nll", {log_p}, [=, r = r](In in) { return nll_loss(in[0], targets, {.reduction = r}); });
    add("nll_weighted", {log_p},
        [=, r = r](In in) { return nll_loss(in[0], ignored, {.weight = weight, .reduction = r}); });
    add("cross_entropy", {x}, [=, r = r](In in) {
      return cross_entropy(in[0], targets, CrossEntropyOptions{.reduction = r});
    });
    add("cross_entropy_all", {x}, [=, r = r](In in) {
      return cross_entropy(in[0], ignored,
                           {.weight = weight, .label_smoothing = 0.2, .reduction = r});
    });
  }
  const auto one = [&](const char* name, std::function<Tensor(const Tensor&)> op) {
    all[name] = {{x}, [op](const std::vector<Tensor>& in) { return op(in[0]); }};
  };
  one("silu", silu);
  one("elu", [](const Tensor& t) { return elu(t, 0.8); });
  one("softplus", [](const Tensor& t) { return softplus(t, 2, 1.5); });
  one("leaky_relu", [](const Tensor& t) { return leaky_relu(t, 0.2); });
  one("mish", mish);
  one("glu", [](const Tensor& t) { return glu(t); });
  one("glu_rows", [](const Tensor& t) { return glu(t, 0); });
  all["swiglu"] = {{x, y}, [](const auto& in) { return swiglu(in[0], in[1]); }};
  all["group_norm"] = {{x, weight, positive}, [](const auto& in) {
                         const Tensor images = reshape(in[0], {2, 2, 6});
                         return reshape(group_norm(images, 3, in[1], in[2], 1e-3), {4, 6});
                       }};
  return all;
}

nlohmann::json golden() {
  std::ifstream file(TRIREME_GOLDEN_DIR "/losses.json");
  return nlohmann::json::parse(file);
}

void expect_near(const Tensor& got, const std::vector<double>& want, const std::string& what) {
  const auto values = got.to_vector<double>();
  ASSERT_EQ(values.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(values[i], want[i], 1e-12) << what << i;
}

TEST(LossGolden, ValuesAndGradientsAreTorchs) {
  const nlohmann::json file = golden();
  const auto all = cases();
  ASSERT_EQ(file.size(), all.size());
  for (const auto& [name, entry] : all) {
    const nlohmann::json& want = file.at(name);
    std::vector<Tensor> in;
    for (const Tensor& operand : entry.operands) {
      in.push_back(clone_detached(operand).set_requires_grad());
    }
    const Tensor y = entry.op(in);
    expect_near(y, want.at("y"), name + " ");
    backward(sum(y * wave(y.shape(), 1.9, 0.3)));
    for (size_t i = 0; i < in.size(); ++i) {
      expect_near(in[i].grad(), want.at("gradients")[i], concat(name, " gradient ", i, " at "));
    }
  }
}

/// Values and gradients of an activation at the ends of f32, where they must not become NaN by an
/// infinity times nothing.
void expect_at(Tensor (*op)(const Tensor&), const std::vector<float>& at,
               const std::vector<float>& values, const std::vector<float>& slopes) {
  Tensor x = from_vector(at, {static_cast<int64_t>(at.size())}).set_requires_grad();
  const Tensor y = op(x);
  backward(sum(y));
  EXPECT_EQ(y.to_vector<float>(), values);
  EXPECT_EQ(x.grad().to_vector<float>(), slopes);
}

TEST(Activations, AreExactFarFromZero) {
  expect_at(silu, {-1e4f, 0, 1e4f, 1e38f}, {0, 0, 1e4f, 1e38f}, {0, 0.5f, 1, 1});
  expect_at([](const Tensor& x) { return elu(x); }, {-kInf, -1e4f, 1e38f, kInf},
            {-1, -1, 1e38f, kInf}, {0, 0, 1, 1});
  expect_at([](const Tensor& x) { return softplus(x); }, {-kInf, -1e4f, 1e38f, kInf},
            {0, 0, 1e38f, kInf}, {0, 0, 1, 1});
  expect_at([](const Tensor& x) { return leaky_relu(x, 0.5); }, {-kInf, -2, 0, kInf},
            {-kInf, -1, 0, kInf}, {0.5f, 0.5f, 0.5f, 1});
  expect_at(mish, {-1e4f, 0, 1e4f, 1e38f}, {0, 0, 1e4f, 1e38f}, {0, 0.6f, 1, 1});
}

TEST(Activations, KeepTheirDigitsNearZeroAndFarBelow) {
  const Tensor x = from_vector<float>({1e-6f, -1e-6f, -20, -40}, {4});
  const auto elus = elu(x).to_vector<float>();
  EXPECT_NEAR(elus[1], std::expm1(-1e-6), 1e-13);
  const auto softs = softplus(x).to_vector<float>();
  for (size_t i : {2u, 3u}) {
    const double want = std::log1p(std::exp(x.to_vector<double>()[i]));
    EXPECT_NEAR(softs[i], want, 1e-6 * want) << i;
  }
}

TEST(Activations, PassNanOn) {
  const Tensor x = full({3}, NAN);
  for (const Tensor& y : {silu(x), elu(x), softplus(x), leaky_relu(x), mish(x),
                          swiglu(x, ones({3})), swiglu(ones({3}), x)}) {
    EXPECT_TRUE(std::isnan(y.to_vector<float>()[0]));
  }
}

TEST(Losses, StayFiniteForLargeLogits) {
  Tensor x = from_vector<float>({-1e4f, 1e4f, -1e4f, 1e4f}, {4}).set_requires_grad();
  const Tensor t = from_vector<float>({0, 1, 1, 0}, {4});
  const Tensor each = binary_cross_entropy_with_logits(x, t, {.reduction = Reduction::kNone});
  EXPECT_THAT(each.to_vector<float>(), ElementsAre(0, 0, 1e4f, 1e4f));
  backward(sum(each));
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(0, 0, -1, 1));
  EXPECT_THAT(kl_div(zeros({2}), zeros({2})).to_vector<float>(), ElementsAre(0));
}

TEST(Losses, OfNothingThatCountsAreNan) {
  const Tensor targets = full({3}, -100, {DType::kI64});
  Tensor x = zeros({3, 4}).set_requires_grad();
  const Tensor loss = cross_entropy(x, targets, CrossEntropyOptions{.label_smoothing = 0.1});
  EXPECT_TRUE(std::isnan(loss.item()));
  EXPECT_EQ(nll_loss(x, targets, {.reduction = Reduction::kSum}).item(), 0);
}

TEST(Losses, ASmoothedLossOfNothingElseIsTheFastOne) {
  Generator generator(3);
  const Tensor x = randn({5, 7}, generator);
  const Tensor targets = from_vector<int64_t>({1, 2, 3, 6, 0}, {5});
  EXPECT_EQ(cross_entropy(x, targets, CrossEntropyOptions{}).item(),
            cross_entropy(x, targets).item());
}

TEST(Losses, NameWhatDoesNotFit) {
  const Tensor x = zeros({2, 3}), ids = zeros({2}, {DType::kI64});
  EXPECT_THAT(
      message_of([&] { mse_loss(x, zeros({3})); }),
      HasSubstr("mse_loss: targets must have the shape of the predictions, [2, 3], got [3]"));
  EXPECT_THAT(message_of([&] { huber_loss(x, x, 0); }),
              HasSubstr("huber_loss: delta must be positive, got 0"));
  EXPECT_THAT(message_of([&] { smooth_l1_loss(x, x, -1); }),
              HasSubstr("smooth_l1_loss: beta must not be negative, got -1"));
  EXPECT_THAT(message_of([&] { nll_loss(x, full({2}, 3, {DType::kI64})); }),
              HasSubstr("nll_loss: target must lie in [0, 3), got 3 at position 0"));
  EXPECT_THAT(message_of([&] { nll_loss(x, ids, {.weight = ones({2})}); }),
              HasSubstr("nll_loss: weight must be [3] for [2, 3], got [2]"));
  EXPECT_THAT(
      message_of([&] { cross_entropy(x, ids, CrossEntropyOptions{.label_smoothing = 1.5}); }),
      HasSubstr("cross_entropy: label_smoothing must be in [0, 1], got 1.5"));
  EXPECT_THAT(
      message_of([&] { binary_cross_entropy_with_logits(x, x, {.pos_weight = ones({2})}); }),
      HasSubstr("[2]"));
  EXPECT_THAT(message_of([&] {
                glu(zeros({2, 3}));
              }),
              HasSubstr("glu: dimension 1 must be even, got shape [2, 3]"));
  EXPECT_THAT(message_of([&] { swiglu(x, zeros({3})); }),
              HasSubstr("swiglu: gate and x must have one shape, got [2, 3] and [3]"));
  EXPECT_THAT(message_of([&] { softplus(x, 0); }), HasSubstr("softplus: beta must be positive"));
  EXPECT_THAT(message_of([&] { group_norm(x, 2, {}, {}); }),
              HasSubstr("group_norm: 2 groups must divide the channels of x [2, 3]"));
}

}  // namespace
}  // namespace trireme
