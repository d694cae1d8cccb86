// The text of the optimizers' CUDA kernels, run on the host thread by thread, against the CPU
// kernels: for every rule.

#include "kernels/cuda/chunk_table.h"
#include "kernels/cuda/optimizer_body.h"
#include "kernels/optimizer_rules.h"
#include "kernels/trust_rules.h"
#include "tests/kernels/device_harness.h"

namespace trireme::kernels {
namespace {

using namespace testing;

constexpr int kThreads = 5;

template <typename T>
class OptimizerBodies : public ::testing::Test {};
using Floating = ::testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(OptimizerBodies, Floating);

/// All arrays of a span, and where they start: off by one element they cannot be read in packs.
template <typename T>
struct Arrays {
  Arrays(int64_t n, size_t first) : count(n), start(first), grad(draw<T>(n + 1, 1)) {
    param = draw<T>(count + 1, 2);
    master = draw<Acc<T>>(count + 1, 2);
    for (uint64_t i = 0; i < kMostStates; ++i) {
      states.push_back(draw<Acc<T>>(count + 1, 3 + i));
      for (Acc<T>& v : states.back()) v *= v;  // some are squares
    }
  }
  StepSpan<T> span(bool has_master) {
    StepSpan<T> s{.count = count, .grad = grad.data() + start, .param = param.data() + start};
    s.master = has_master ? master.data() + start : nullptr;
    for (size_t i = 0; i < kMostStates; ++i) s.state[i] = states[i].data() + start;
    s.rounding_block = 1000;
    return s;
  }
  int64_t count;
  size_t start;
  std::vector<T> grad, param;
  std::vector<Acc<T>> master;
  std::vector<std::vector<Acc<T>>> states;
};

template <typename T>
void expect_alike(const Arrays<T>& got, const Arrays<T>& want, double parameters) {
  expect_near(got.param, want.param, parameters);
  const double exact = std::max(1e-6, rounding<Acc<T>>());
  expect_near(got.master, want.master, exact);
  for (size_t i = 0; i < kMostStates; ++i) expect_near(got.states[i], want.states[i], exact);
}

template <typename T, typename Run>
void each_thread(const Arrays<T>& arrays, const Run& run) {
  for (int64_t begin = 0; begin < arrays.count; begin += kChunk) {
    const int64_t end = std::min(arrays.count, begin + kChunk);
    for (int thread = 0; thread < kThreads; ++thread) {
      each_pack<4>(arrays.start == 0, begin, end, thread, kThreads, run);
    }
  }
}

template <typename T, typename Rule>
void check_step(const Rule& rule, int64_t count, size_t start, bool has_master,
                uint64_t rounding_blocks = 0) {
  using A = Acc<T>;
  const double factor = 1.5;
  double trust = 0.75;
  const StepOptions options{.learning_rate = 0.01,
                            .weight_decay = 0.1,
                            .grad_factor = &factor,
                            .step = 3,
                            .rounding_blocks = rounding_blocks};
  Arrays<T> want(count, start), got = want;
  StepSpan<T> on_cpu = want.span(has_master), on_device = got.span(has_master);
  on_cpu.trust = on_device.trust = &trust;
  step_all<T>(Cpu{}, options, rule, {&on_cpu, 1});
  const StepNumbers<Rule, A> numbers(options, rule);
  each_thread(
      got, StepBody<Rule, A, T>{numbers, static_cast<A>(factor), static_cast<A>(trust), on_device});
  expect_alike(got, want, rounding<T>());
}

template <typename T, typename Rule>
void check_measure(const Rule& rule, int64_t count, size_t start, bool has_master) {
  using A = Acc<T>;
  const double factor = 1.5;
  double want_trust = -1;
  const StepOptions options{.weight_decay = 0.1, .grad_factor = &factor, .step = 3};
  Arrays<T> want(count, start), got = want;
  StepSpan<T> on_cpu = want.span(has_master);
  on_cpu.trust = &want_trust;
  trust_ratios<T>(Cpu{}, options, rule, {&on_cpu, 1});
  const StepNumbers<Rule, A> numbers(options, rule);
  const StepSpan<T> span = got.span(has_master);
  Two<double> sums{0, 0};
  each_thread(got, MeasureBody<Rule, A, T>{numbers, static_cast<A>(factor), span, sums});
  const double got_trust = numbers.element.trust(sums.first, sums.second);
  EXPECT_NEAR(got_trust, want_trust, 1e-6 * want_trust);
  EXPECT_NE(want_trust, -1);
  expect_alike(got, want, 0);
  EXPECT_EQ(std::memcmp(got.param.data(), Arrays<T>(count, start).param.data(),
                        got.param.size() * sizeof(T)),
            0)
      << "measuring steps nothing";
}

template <typename Check>
void each_layout(bool with_masters, const Check& check) {
  for (int64_t count : {int64_t{1}, int64_t{130}, kChunk + 5}) {
    for (size_t start : {0, 1}) {
      check(count, start, false);
      if (with_masters) check(count, start, true);
    }
  }
}

TYPED_TEST(OptimizerBodies, StepAsOnTheCpu) {
  using T = TypeParam;
  each_layout(is_half<T>, [](int64_t count, size_t start, bool has_master) {
    const auto check = [&](const auto& rule) { check_step<T>(rule, count, start, has_master); };
    check(SgdRule{});
    check(MomentumRule{.momentum = 0.9, .dampening = 0.1});
    check(MomentumRule{.momentum = 0.9, .form = Momentum::kNesterov});
    check(AdamRule{});
    check(AdamRule{.decay_form = WeightDecay::kGradient});
    check(AdagradRule{.lr_decay = 0.1});
    check(RmsProp{.alpha = 0.9});
    check(RmsPropMomentum{.alpha = 0.9, .momentum = 0.5});
    check(RmsPropCentered{.alpha = 0.9, .eps = 0.1});
    check(RmsPropCenteredMomentum{.alpha = 0.9, .eps = 0.1, .momentum = 0.5});
    check(LionRule{});
    check(MuonMomentumRule{});
    check(MuonMomentumRule{.form = Momentum::kPlain});
    check(DirectionRule{});
    check(AverageRule{});
    check(LambStepRule{});
    check(LarsStepRule{});
  });
}

TYPED_TEST(OptimizerBodies, MeasureAsOnTheCpu) {
  using T = TypeParam;
  each_layout(is_half<T>, [](int64_t count, size_t start, bool has_master) {
    check_measure<T>(LambMomentsRule{}, count, start, has_master);
    check_measure<T>(LarsNormsRule{}, count, start, has_master);
  });
}

TEST(StochasticRounding, HasTheCpusBits) {
  each_layout(false, [](int64_t count, size_t start, bool) {
    using T = BFloat16;
    const StepOptions options{.learning_rate = 1e-4, .step = 2, .rounding_blocks = 77777};
    Arrays<T> want(count, start), got = want;
    const StepSpan<T> on_cpu = want.span(false), on_device = got.span(false);
    step_all<T>(Cpu{}, options, SgdRule{}, {&on_cpu, 1});
    const StepNumbers<SgdRule, float> numbers(options, SgdRule{});
    each_thread(got, StepBody<SgdRule, float, T>{numbers, 1, 1, on_device});
    int64_t differ = 0;
    for (size_t i = 0; i < got.param.size(); ++i) {
      differ += got.param[i].bits != want.param[i].bits;
    }
    // Where the compilers fuse other multiplications the last bit of f32 may move one in 65,536.
    EXPECT_LE(differ, count / 1000);
    check_step<T>(AdamRule{}, count, start, false, 77777);
  });
}

TEST(StochasticRounding, IsRightOnAverage) {
  // Between 1 and the next bf16, 1 + 1/128: up with the probability that the mean needs.
  for (const float part : {0.0f, 0.1f, 0.5f, 0.9f}) {
    const float x = -(1 + part / 128);
    double sum = 0;
    constexpr int kDraws = 200000;
    for (int i = 0; i < kDraws; ++i) {
      const float rounded = round_at_random(x, philox(1, static_cast<uint64_t>(i))[0]);
      ASSERT_TRUE(rounded == -1.0f || rounded == -(1 + 1.0f / 128)) << rounded;
      sum += rounded;
    }
    // Five deviations of the mean.
    EXPECT_NEAR(sum / kDraws, x, 5 * std::sqrt(0.25 / kDraws) / 128) << part;
  }
  // Exactly: of all 65,536 random numbers as many round up as the lower bits say.
  const float x = __builtin_bit_cast(float, 0x3F801234u);
  int up = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    up += round_at_random(x, bits << 16 | 0xFFFF).bits == 0x3F81;
  }
  EXPECT_EQ(up, 0x1234);
}

TEST(StochasticRounding, KeepsWhatIsExactAndWhatIsNotFinite) {
  for (uint32_t bits : {0u, 0x80000000u, 0xFFFFFFFFu}) {
    EXPECT_EQ(round_at_random(1.5f, bits).bits, BFloat16(1.5f).bits);
    EXPECT_EQ(round_at_random(-0.0f, bits).bits, BFloat16(-0.0f).bits);
    EXPECT_EQ(float(round_at_random(INFINITY, bits)), INFINITY);
    EXPECT_TRUE(std::isnan(float(round_at_random(__builtin_bit_cast(float, 0x7F800001u), bits))));
    EXPECT_TRUE(std::isfinite(float(round_at_random(std::numeric_limits<float>::max(), bits))));
  }
}

TEST(StochasticRounding, TakesOtherBitsInEveryStep) {
  const auto stepped = [](int64_t step, uint64_t block) {
    std::vector<BFloat16> param(400, BFloat16(1.0f)), grad(400, BFloat16(1.0f));
    StepSpan<BFloat16> span{.count = 400, .grad = grad.data(), .param = param.data()};
    span.rounding_block = block;
    // Half a unit below 1 (units are 1/256 there).
    const StepOptions options{.learning_rate = 1.0 / 512, .step = step, .rounding_blocks = 100};
    step_all<BFloat16>(Cpu{}, options, SgdRule{}, {&span, 1});
    std::vector<float> values(param.begin(), param.end());
    return values;
  };
  EXPECT_EQ(stepped(1, 0), stepped(1, 0));
  EXPECT_NE(stepped(1, 0), stepped(2, 0));
  EXPECT_NE(stepped(1, 0), stepped(1, 50));
  // The second step's bits begin where the first one's end.
  EXPECT_EQ(stepped(1, 100), stepped(2, 0));
}

}  // namespace
}  // namespace trireme::kernels
