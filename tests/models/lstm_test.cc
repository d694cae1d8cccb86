#include "core/models/lstm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/optim/adam.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;

TEST(LstmLanguageModel, LearnsToCountAndContinuesAPrompt) {
  Generator generator(1);
  LstmLanguageModel model({.vocab_size = 5, .layers = 2, .dim = 16}, generator);
  constexpr int64_t kTexts = 5, kTime = 8;
  std::vector<int64_t> inputs, next;
  for (int64_t i = 0; i < kTexts * kTime; ++i) {
    inputs.push_back((i / kTime + i % kTime) % kTexts);  // text i starts with token i
    next.push_back((inputs.back() + 1) % kTexts);
  }
  const Tensor ids = from_vector(inputs, {kTexts, kTime});
  const Tensor targets = from_vector(next, {kTexts, kTime});
  AdamW optimizer({{model.named_parameters(), {}}}, {.lr = 0.02});
  const double first = model.loss(ids, targets).item();
  EXPECT_NEAR(first, std::log(5.0), 0.3);
  for (int step = 0; step < 60; ++step) {
    backward(model.loss(ids, targets));
    optimizer.step();
    optimizer.zero_grad();
  }
  EXPECT_LT(model.loss(ids, targets).item(), 0.1);
  EXPECT_THAT(model.generate({3, 4}, 6, {.temperature = 0}, generator),
              ElementsAre(3, 4, 0, 1, 2, 3, 4, 0));
}

TEST(LstmLanguageModel, ItsLossIsThatOfItsLogits) {
  Generator generator(1);
  const LstmLanguageModel model({.vocab_size = 7, .dim = 4}, generator, {DType::kF64});
  const Tensor ids = from_vector<int64_t>({0, 6, 2, 3, 4, 1}, {2, 3});
  EXPECT_NEAR(model.loss(ids, ids).item(), cross_entropy(model.forward(ids).logits, ids).item(),
              1e-12);
}

TEST(LstmLanguageModel, StartsWithOpenForgetGates) {
  Generator generator(1);
  const LstmLanguageModel model({.vocab_size = 3, .layers = 1, .dim = 2}, generator);
  for (const auto& [name, parameter] : model.named_parameters()) {
    if (name != "lstm.bias_ih_l0" && name != "lstm.bias_hh_l0") continue;
    EXPECT_THAT(parameter.to_vector<double>(), ElementsAre(0, 0, 0.5, 0.5, 0, 0, 0, 0));
  }
}

TEST(LstmLanguageModel, RefusesWhatDoesNotFit) {
  Generator generator(1);
  const LstmLanguageModel model({.vocab_size = 3, .layers = 1, .dim = 2}, generator);
  EXPECT_THAT(message_of([&] { model.forward(zeros({3}, {DType::kI64})); }),
              HasSubstr("lstm: ids must be [batch, time], got [3]"));
  EXPECT_THAT(message_of([&] { model.generate({}, 1, {}, generator); }),
              HasSubstr("generate: the prompt must have at least one token"));
  EXPECT_THAT(
      message_of([&] { LstmLanguageModel({.vocab_size = 3, .layers = 0, .dim = 2}, generator); }),
      HasSubstr("lstm: vocabulary, layers and dim must be positive, got 3, 0, 2"));
}

}  // namespace
}  // namespace trireme
