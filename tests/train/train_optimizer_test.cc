#include "launcher/train_optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/tensor/create.h"

namespace trireme {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TrainOptions with(const std::string& schedule) {
  TrainOptions o;
  o.schedule = schedule;
  o.lr = 1;
  o.min_lr = 0.1;
  o.warmup = 10;
  o.steps = 100;
  return o;
}

TEST(TrainSchedule, EndsWhereTheFlagsSay) {
  struct Case {
    const char* name;
    double first, end_of_warmup, last;
  };
  for (const Case& c : {Case{"cosine", 0.1, 1, 0.1}, Case{"constant", 0.1, 1, 1},
                        Case{"linear", 0.1, 1, 0.1}, Case{"one-cycle", 1.0 / 25, 1, 0.1},
                        Case{"inverse-sqrt", 0.1, 1, std::sqrt(0.1)}, Case{"plateau", 0.1, 1, 1}}) {
    const TrainOptions options = with(c.name);
    const TrainSchedule schedule(options);
    EXPECT_NEAR(schedule.at(0), c.first, 1e-12) << c.name;
    EXPECT_NEAR(schedule.at(9), c.end_of_warmup, 1e-12) << c.name;
    EXPECT_NEAR(schedule.at(99), c.last, 0.011) << c.name;
  }
  TrainOptions to_zero = with("one-cycle");
  to_zero.min_lr = 0;
  EXPECT_EQ(TrainSchedule(to_zero).at(99), 0);
  to_zero.warmup = 1000;  // longer than the run
  EXPECT_LT(TrainSchedule(to_zero).at(50), 1);
}

TEST(TrainSchedule, FallsWhereValidationsAreNoBetter) {
  TrainOptions options = with("plateau");
  options.plateau_factor = 0.5;
  options.plateau_patience = 1;
  TrainSchedule schedule(options);
  schedule.validated(10, 2);
  schedule.validated(20, 2);
  EXPECT_EQ(schedule.at(50), 1);

  // A resumed run validates once more where it was stopped; that counts no more.
  StateValues state;
  schedule.save(state);
  TrainSchedule resumed(options);
  resumed.restore(state);
  resumed.validated(20, 2);
  EXPECT_EQ(resumed.at(50), 1);
  for (TrainSchedule* each : {&schedule, &resumed}) {
    each->validated(30, 2);
    EXPECT_EQ(each->at(50), 0.5);
  }
  StateValues none;
  TrainSchedule(with("cosine")).save(none);
  EXPECT_FALSE(none.has("schedule.lr"));
}

StateDict model() {
  StateDict parameters;
  for (const auto& [name, shape] : {std::pair<const char*, Shape>{"wte.weight", {8, 4}},
                                    {"h.0.attn.weight", {4, 12}},
                                    {"h.0.attn.bias", {12}},
                                    {"h.0.mlp.weight", {4, 4}}}) {
    parameters.emplace_back(name, ones(shape).set_requires_grad());
  }
  return parameters;
}
std::vector<std::string> state_of(const std::string& optimizer, const StateDict& parameters) {
  TrainOptions options;
  options.optimizer = optimizer;
  std::vector<std::string> names;
  for (const auto& [name, s] : make_optimizer(options, parameters)->state_dict()) {
    names.push_back(name);
  }
  return names;
}

TEST(MakeOptimizer, KnowsEveryRule) {
  // What each keeps of a matrix tells them apart.
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"adamw", {"exp_avg", "exp_avg_sq"}},
      {"adam", {"exp_avg", "exp_avg_sq"}},
      {"sgd", {"momentum"}},
      {"adagrad", {"sum"}},
      {"rmsprop", {"square_avg", "momentum"}},
      {"lion", {"exp_avg"}},
      {"lamb", {"exp_avg", "exp_avg_sq"}},
      {"lars", {"momentum"}},
      {"muon", {"momentum"}}};
  for (const auto& [optimizer, moments] : cases) {
    std::vector<std::string> kept;
    for (const std::string& name : state_of(optimizer, model())) {
      const size_t at = name.find(".h.0.mlp.weight");
      if (at != std::string::npos && !name.starts_with("updates")) {
        kept.push_back(name.substr(0, at));
      }
    }
    EXPECT_EQ(kept, moments) << optimizer;
  }
}

TEST(MakeOptimizer, GivesMuonTheHiddenMatrices) {
  const auto tied = state_of("muon", model());
  EXPECT_THAT(tied, Contains("momentum.h.0.attn.weight"));
  EXPECT_THAT(tied, Contains("exp_avg.wte.weight"));
  EXPECT_THAT(tied, Contains("exp_avg.h.0.attn.bias"));
  EXPECT_THAT(tied, Contains("momentum.h.0.mlp.weight"));
  StateDict without = model();
  without.erase(without.begin());
  const auto classifier = state_of("muon", without);
  EXPECT_THAT(classifier, Contains("exp_avg.h.0.mlp.weight")) << "the output layer";
  EXPECT_THAT(classifier, Contains("momentum.h.0.attn.weight"));
}

TEST(TrainOptions, RefuseWhatWouldHaveNoEffect) {
  TrainOptions rounded;
  rounded.stochastic_rounding = true;
  EXPECT_THAT([&] { check(rounded, 1); },
              ThrowsMessage<InvalidArgument>(HasSubstr("--stochastic-rounding is for weights")));
  rounded.precision = "bf16-pure";
  EXPECT_NO_THROW(check(rounded, 1));
  TrainOptions plateau = with("plateau");
  plateau.eval_every = 0;
  EXPECT_THAT([&] { check(plateau, 1); },
              ThrowsMessage<InvalidArgument>(HasSubstr("--schedule plateau needs validations")));
}

}  // namespace
}  // namespace trireme
