// Update kernels against the formulas of their papers, written out for one scalar in f64.

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/global_norm.h"
#include "kernels/optimizer_rules.h"

namespace trireme::kernels {
namespace {

constexpr int64_t kCount = 37;  // not a multiple of any vector

double gradient_at(int64_t i, int64_t step) {
  return std::sin(static_cast<double>(i)) + 0.1 * static_cast<double>(step);
}

template <typename T>
StepSpan<T> span_of(const std::vector<T>& grad, std::vector<T>& param,
                    std::initializer_list<std::vector<Acc<T>>*> states) {
  StepSpan<T> span{
      .count = static_cast<int64_t>(grad.size()), .grad = grad.data(), .param = param.data()};
  int i = 0;
  for (std::vector<Acc<T>>* state : states) span.state[i++] = state->data();
  return span;
}

template <typename T>
void check_adam(WeightDecay form, double tolerance) {
  std::vector<T> param(kCount), m(kCount), v(kCount), grad(kCount);
  std::vector<double> p0(kCount), m0(kCount), v0(kCount);
  for (int64_t i = 0; i < kCount; ++i) param[i] = static_cast<T>(p0[i] = 0.01 * double(i) - 0.1);
  const double half = 0.5;
  StepOptions s{.learning_rate = 0.02, .weight_decay = 0.1, .grad_factor = &half};
  const AdamRule rule{.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .decay_form = form};
  for (s.step = 1; s.step <= 5; ++s.step) {
    for (int64_t i = 0; i < kCount; ++i) grad[i] = static_cast<T>(gradient_at(i, s.step));
    const StepSpan<T> span = span_of<T>(grad, param, {&m, &v});
    step_all<T>(Cpu{}, s, rule, {&span, 1});
    for (int64_t i = 0; i < kCount; ++i) {
      double g = 0.5 * gradient_at(i, s.step);
      if (form == WeightDecay::kGradient) g += 0.1 * p0[i];
      if (form == WeightDecay::kDecoupled) p0[i] -= 0.02 * 0.1 * p0[i];
      m0[i] = 0.8 * m0[i] + 0.2 * g;
      v0[i] = 0.95 * v0[i] + 0.05 * g * g;
      const double mean = m0[i] / (1 - std::pow(0.8, double(s.step)));
      const double square = v0[i] / (1 - std::pow(0.95, double(s.step)));
      p0[i] -= 0.02 * mean / (std::sqrt(square) + 1e-6);
    }
  }
  for (int64_t i = 0; i < kCount; ++i) EXPECT_NEAR(param[i], p0[i], tolerance) << i;
}

TEST(AdamW, EqualsItsFormula) {
  check_adam<double>(WeightDecay::kDecoupled, 1e-14);
  check_adam<float>(WeightDecay::kDecoupled, 1e-6);
}
TEST(AdamW, WithDecayInTheGradientEqualsAdam) {
  check_adam<double>(WeightDecay::kGradient, 1e-14);
  check_adam<float>(WeightDecay::kGradient, 1e-6);
}

template <typename T, typename Rule>
void check_sgd(StepOptions s, const Rule& rule, double tolerance) {
  constexpr bool kHasBuffer = std::is_same_v<Rule, MomentumRule>;
  std::vector<T> param(kCount, T(0.3)), grad(kCount);
  // A fresh buffer may hold anything.
  std::vector<T> buffer(kCount, std::numeric_limits<T>::quiet_NaN());
  std::vector<double> p0(kCount, double(T(0.3))), b0(kCount);
  for (s.step = 1; s.step <= 4; ++s.step) {
    for (int64_t i = 0; i < kCount; ++i) grad[i] = static_cast<T>(gradient_at(i, s.step));
    const StepSpan<T> span = span_of<T>(grad, param, {&buffer});
    step_all<T>(Cpu{}, s, rule, {&span, 1});
    for (int64_t i = 0; i < kCount; ++i) {
      double g =
          (s.grad_factor ? *s.grad_factor : 1) * gradient_at(i, s.step) + s.weight_decay * p0[i];
      if constexpr (kHasBuffer) {
        b0[i] = s.step == 1 ? g : rule.momentum * b0[i] + (1 - rule.dampening) * g;
        g = rule.form == Momentum::kNesterov ? g + rule.momentum * b0[i] : b0[i];
      }
      p0[i] -= s.learning_rate * g;
    }
  }
  for (int64_t i = 0; i < kCount; ++i) EXPECT_NEAR(param[i], p0[i], tolerance) << i;
}

TEST(Sgd, EqualsItsFormula) {
  const double twice = 2;
  const StepOptions scaled{.learning_rate = 0.1, .weight_decay = 0.01, .grad_factor = &twice};
  const StepOptions plain{.learning_rate = 0.1, .weight_decay = 0.01};
  const MomentumRule heavy{.momentum = 0.9, .dampening = 0.2};
  const MomentumRule nesterov{.momentum = 0.9, .form = Momentum::kNesterov};
  check_sgd<double>(scaled, SgdRule{}, 1e-14);
  check_sgd<float>(scaled, SgdRule{}, 1e-5);
  for (const MomentumRule& rule : {heavy, nesterov}) {
    check_sgd<double>(plain, rule, 1e-14);
    check_sgd<float>(plain, rule, 1e-5);
  }
}

TEST(SumOfSquares, AddsToWhatIsThere) {
  std::vector<float> x(100001, 0.5f);
  double sum = 3;
  add_sum_of_squares(Cpu{}, x.data(), static_cast<int64_t>(x.size()), &sum);
  EXPECT_EQ(sum, 3 + 0.25 * 100001);
  add_sum_of_squares(Cpu{}, x.data(), 0, &sum);
  EXPECT_EQ(sum, 3 + 0.25 * 100001);
}

TEST(SumOfSquares, IsFiniteExactlyWhenEveryElementIs) {
  for (float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    for (size_t at : {size_t{0}, size_t{20000}, size_t{99999}}) {
      std::vector<float> x(100000, std::numeric_limits<float>::max());
      double sum = 0;
      add_sum_of_squares(Cpu{}, x.data(), static_cast<int64_t>(x.size()), &sum);
      EXPECT_TRUE(std::isfinite(sum));
      x[at] = bad;
      sum = 0;
      add_sum_of_squares(Cpu{}, x.data(), static_cast<int64_t>(x.size()), &sum);
      EXPECT_FALSE(std::isfinite(sum)) << at;
    }
  }
}

}  // namespace
}  // namespace trireme::kernels
