// 16-bit parameters with f32 masters: against f32 parameters, through checkpoints, and between runs
// of different precision. And that optimizers step all alike parameters at once.

#include "core/optim/master_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/load_state.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "core/optim/sgd.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;

std::vector<float> values_of(const Tensor& x) {
  return to(x.detach(), DType::kF32).to_vector<float>();
}
std::vector<std::string> names_of(const StateDict& dict) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : dict) names.push_back(name);
  return names;
}
Tensor entry(const StateDict& dict, const std::string& name) {
  for (const auto& [key, tensor] : dict) {
    if (key == name) return tensor;
  }
  ADD_FAILURE() << name << " is missing";
  return {};
}

/// Two parameters of one dtype and the bowl that they descend.
struct Problem {
  explicit Problem(DType dtype, MasterWeights master = MasterWeights::kF32) {
    Generator generator(11);
    w = clone_detached(cast(randn({16, 9}, generator), dtype)).set_requires_grad();
    b = clone_detached(cast(randn({9}, generator), dtype)).set_requires_grad();
    goal = randn({16, 9}, generator);
    optimizer = std::make_unique<AdamW>(decay_matrices_only({{"w", w}, {"b", b}}, 0.1),
                                        AdamOptions{.lr = 1e-3, .master_weights = master});
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) {
      backward(mean(square(to(w, DType::kF32) - goal)) + mean(square(to(b, DType::kF32))));
      optimizer->step(full({}, 0.5, {DType::kF64}));
      optimizer->zero_grad();
    }
  }
  StateDict model() const { return {{"w", w}, {"b", b}}; }
  Tensor w, b, goal;
  std::unique_ptr<AdamW> optimizer;
};

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<float> x = values_of(a), y = values_of(b);
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i) most = std::max<double>(most, std::abs(x[i] - y[i]));
  return most;
}

TEST(MasterWeights, FollowTheTrajectoryOfF32) {
  for (DType dtype : {DType::kBF16, DType::kF16}) {
    Problem half(dtype), plain(dtype, MasterWeights::kNone);
    Problem f32(DType::kF32);
    {
      const NoGrad no_grad;
      copy_inplace(f32.w, half.w);  // starts from the rounded weights
    }
    const std::vector<float> start = values_of(half.w);
    f32.steps(200);
    half.steps(200);
    plain.steps(200);
    const Tensor master = entry(half.optimizer->state_dict(), "master.w");
    // Every step moves by up to lr; Adam's steps differ by as much as the rounded weights make the
    // gradients differ, relative to themselves.
    EXPECT_LT(largest_difference(master, f32.w), dtype == DType::kBF16 ? 1e-2 : 2e-3);
    EXPECT_EQ(values_of(half.w), values_of(to(master, dtype)));
    EXPECT_GT(largest_difference(f32.w, from_vector(start, {16, 9})), 0.1);
    if (dtype == DType::kBF16) {
      // Weights around 1 cannot follow steps of 1e-3: that is what masters are for.
      EXPECT_GT(largest_difference(plain.w, f32.w), 5 * largest_difference(master, f32.w));
    }
  }
}

TEST(MasterWeights, AreStateInF32BesideTheMoments) {
  const Problem half(DType::kBF16), f32(DType::kF32), plain(DType::kBF16, MasterWeights::kNone);
  const StateDict state = half.optimizer->state_dict();
  EXPECT_THAT(names_of(state), ElementsAre("master.w", "exp_avg.w", "exp_avg_sq.w", "updates.w",
                                           "master.b", "exp_avg.b", "exp_avg_sq.b", "updates.b"));
  for (const char* name : {"master.w", "exp_avg.w", "exp_avg_sq.b"}) {
    EXPECT_EQ(entry(state, name).dtype(), DType::kF32) << name;
  }
  EXPECT_EQ(names_of(f32.optimizer->state_dict()), names_of(plain.optimizer->state_dict()));
  EXPECT_EQ(f32.optimizer->state_dict().size(), 6u);
}

TEST(MasterWeights, FollowAParameterThatIsWritten) {
  Problem half(DType::kBF16);
  half.steps(3);
  {
    const NoGrad no_grad;
    fill_inplace(half.w, 3);
  }
  EXPECT_THAT(values_of(entry(half.optimizer->state_dict(), "master.w")), ::testing::Each(3));
  half.steps(1);
  EXPECT_LT(largest_difference(half.w, full({16, 9}, 3)), 0.02);
}

TEST(MasterWeights, KeepTheirDigitsWhereAParameterIsWrittenBackAsItWas) {
  Problem half(DType::kBF16);
  half.steps(3);
  const std::vector<float> masters = values_of(entry(half.optimizer->state_dict(), "master.w"));
  {
    const NoGrad no_grad;
    const Tensor own = clone_detached(half.w);
    fill_inplace(half.w, 3);
    copy_inplace(half.w, own);
  }
  EXPECT_EQ(values_of(entry(half.optimizer->state_dict(), "master.w")), masters);
  EXPECT_NE(values_of(half.w), masters);
}

TEST(MasterWeights, ComeBackFromACheckpointBitForBit) {
  const testing::TempDir directory;
  Problem whole(DType::kBF16);
  whole.steps(5);
  const std::string path = save_checkpoint(
      directory.path(),
      {.step = 5, .model = whole.model(), .optimizer = whole.optimizer->state_dict(), .state = {}});
  Problem resumed(DType::kBF16);
  const Snapshot loaded = load_checkpoint(path);
  EXPECT_EQ(entry(loaded.model, "w").dtype(), DType::kBF16);
  for (const bool model_first : {true, false}) {
    if (model_first) load_state(resumed.model(), loaded.model);
    load_state(resumed.optimizer->state_dict(), loaded.optimizer);
    if (!model_first) load_state(resumed.model(), loaded.model);
    EXPECT_EQ(values_of(entry(resumed.optimizer->state_dict(), "master.w")),
              values_of(entry(loaded.optimizer, "master.w")));
  }
  whole.steps(5);
  resumed.steps(5);
  const StateDict a = whole.optimizer->state_dict(), b = resumed.optimizer->state_dict();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(values_of(a[i].second), values_of(b[i].second));
  EXPECT_EQ(values_of(whole.w), values_of(resumed.w));
}

TEST(MasterWeights, AreTheWeightsOfARunInF32) {
  Problem half(DType::kBF16), f32(DType::kF32);
  half.steps(4);
  StateDict model = half.model(), optimizer = half.optimizer->state_dict();
  const std::vector<float> masters = values_of(entry(optimizer, "master.w"));
  convert_master_weights(model, optimizer, f32.optimizer->state_dict());
  load_state(f32.model(), model);
  load_state(f32.optimizer->state_dict(), optimizer);
  EXPECT_EQ(values_of(f32.w), masters);

  // And back: exact, although the parameters are rounded.
  f32.steps(3);
  const std::vector<float> exact = values_of(f32.w);
  StateDict model2 = f32.model(), optimizer2 = f32.optimizer->state_dict();
  convert_master_weights(model2, optimizer2, half.optimizer->state_dict());
  load_state(half.model(), model2);
  load_state(half.optimizer->state_dict(), optimizer2);
  EXPECT_EQ(values_of(entry(half.optimizer->state_dict(), "master.w")), exact);
  EXPECT_EQ(values_of(half.w), values_of(to(f32.w.detach(), DType::kBF16)));
}

TEST(MasterWeights, AreLeftAloneWhereBothOrNeitherHaveThem) {
  Problem half(DType::kBF16), f32(DType::kF32);
  for (const Problem* p : {&half, &f32}) {
    StateDict model = p->model(), optimizer = p->optimizer->state_dict();
    const auto before = names_of(optimizer);
    convert_master_weights(model, optimizer, p->optimizer->state_dict());
    EXPECT_EQ(names_of(optimizer), before);
    EXPECT_TRUE(model[0].second.is_same(p->w));
  }
}

/// Notes what it is asked to do in one go.
class Counting final : public Optimizer {
 public:
  explicit Counting(std::vector<ParameterGroup> groups)
      : Optimizer(std::move(groups), 1, {}, MasterWeights::kF32) {}
  std::vector<size_t> calls;

 private:
  void update(const Update& u) override {
    calls.push_back(u.parts.size());
    for (const Part& part : u.parts) {
      EXPECT_EQ(part.parameter.dtype(), u.dtype());
      EXPECT_EQ(part.parameter.shape(), part.gradient.shape());
    }
  }
};

TEST(Optimizer, StepsAllAlikeParametersAtOnce) {
  const auto leaf = [](DType dtype) { return ones({3}, {dtype}).set_requires_grad(); };
  const Tensor a = leaf(DType::kF32), b = leaf(DType::kF32), c = leaf(DType::kF32),
               d = leaf(DType::kBF16), e = leaf(DType::kF32);
  Counting optimizer(
      {{{{"a", a}, {"b", b}}, {.weight_decay = 0.1}}, {{{"c", c}, {"d", d}, {"e", e}}, {}}});
  const auto calls = [&](std::vector<Tensor> with_gradient) {
    for (const Tensor& p : with_gradient) backward(sum(p));
    optimizer.calls.clear();
    optimizer.step();
    optimizer.zero_grad();
    return optimizer.calls;
  };
  // By group and dtype: {a, b}, {c, e}, {d}.
  EXPECT_THAT(calls({a, b, c, d, e}), ElementsAre(2, 2, 1));
  EXPECT_THAT(calls({a, b, c, d, e}), ElementsAre(2, 2, 1));
  EXPECT_THAT(calls({a, c}), ElementsAre(1, 1));
  // a and c are one update ahead.
  EXPECT_THAT(calls({a, b, c, e}), ElementsAre(1, 1, 1, 1));
}

}  // namespace
}  // namespace trireme
