#include "core/models/gpt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/backward.h"
#include "core/checkpoint/load_state.h"
#include "core/models/gpt_checkpoint.h"
#include "core/optim/adam.h"
#include "tests/support/trace_recorder.h"

namespace trireme {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

double deviation(const Tensor& x) {
  double squares = 0;
  for (double v : x.to_vector<double>()) squares += v * v;
  return std::sqrt(squares / static_cast<double>(x.numel()));
}

TEST(Gpt, HasTheParametersOfGpt2InOrder) {
  Generator generator(1);
  const Gpt gpt({.vocab_size = 13, .context = 5, .layers = 2, .heads = 2, .dim = 4}, generator);
  std::vector<std::pair<std::string, Shape>> expected{{"wte.weight", {13, 4}},
                                                      {"wpe.weight", {5, 4}}};
  for (const std::string h : {"h.0.", "h.1."}) {
    const std::vector<std::pair<std::string, Shape>> block{{"ln_1.weight", {4}},
                                                           {"ln_1.bias", {4}},
                                                           {"attn.c_attn.weight", {4, 12}},
                                                           {"attn.c_attn.bias", {12}},
                                                           {"attn.c_proj.weight", {4, 4}},
                                                           {"attn.c_proj.bias", {4}},
                                                           {"ln_2.weight", {4}},
                                                           {"ln_2.bias", {4}},
                                                           {"mlp.c_fc.weight", {4, 16}},
                                                           {"mlp.c_fc.bias", {16}},
                                                           {"mlp.c_proj.weight", {16, 4}},
                                                           {"mlp.c_proj.bias", {4}}};
    for (const auto& [name, shape] : block) expected.emplace_back(h + name, shape);
  }
  expected.emplace_back("ln_f.weight", Shape{4});
  expected.emplace_back("ln_f.bias", Shape{4});

  const StateDict actual = gpt.state_dict();
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].first, expected[i].first);
    EXPECT_EQ(actual[i].second.shape(), expected[i].second) << actual[i].first;
  }
}

TEST(Gpt, ProfilersSeeItsLayersByName) {
  Generator generator(1);
  const Gpt gpt({.vocab_size = 13, .context = 5, .layers = 1, .heads = 2, .dim = 4}, generator);
  const testing::TraceRecorder recorder;
  const Tensor ids = from_vector<int64_t>({1, 2, 3}, {1, 3});
  const Tensor loss = gpt.loss(ids, ids);
  EXPECT_THAT(recorder.take(),
              ElementsAre("embedding", "layer_norm", "block", "attention", "linear", "linear",
                          "layer_norm", "feed_forward", "layer_norm", "head"));
  backward(loss);
  EXPECT_THAT(recorder.take(), ::testing::IsSupersetOf({"feed_forward", "linear", "embedding"}));
  EXPECT_EQ(recorder.still_open(), 0);
}

TEST(Gpt, StartsAsGpt2) {
  Generator generator(1);
  const Gpt gpt({.vocab_size = 200, .context = 100, .layers = 8, .heads = 4, .dim = 64}, generator);
  for (const auto& [name, p] : gpt.named_parameters()) {
    if (name.ends_with("bias")) {
      EXPECT_THAT(p.to_vector<float>(), Each(0)) << name;
    } else if (p.rank() == 1) {
      EXPECT_THAT(p.to_vector<float>(), Each(1)) << name;
    } else {
      const double weight = 0.02 * std::sqrt(768.0 / 64.0);
      const double expected = name.starts_with("w")             ? 0.02
                              : name.ends_with("c_proj.weight") ? weight / 4
                                                                : weight;
      EXPECT_NEAR(deviation(p), expected, 0.05 * expected) << name;
    }
  }
}

TEST(Gpt, KnowsNothingAtTheStart) {
  Generator generator(1);
  const Gpt gpt({.vocab_size = 64, .context = 16, .layers = 2, .heads = 2, .dim = 32}, generator);
  std::vector<int64_t> ids(64), targets(64);
  for (auto& t : ids) t = static_cast<int64_t>(generator.next_below(64));
  for (auto& t : targets) t = static_cast<int64_t>(generator.next_below(64));
  EXPECT_NEAR(gpt.loss(from_vector(ids, {4, 16}), from_vector(targets, {4, 16})).item(),
              std::log(64.0), 0.05);
}

TEST(Gpt, TheTiedWeightCollectsBothGradients) {
  Generator generator(1);
  const Gpt gpt({.vocab_size = 5, .context = 4, .layers = 1, .heads = 1, .dim = 4}, generator,
                {DType::kF64});
  const Tensor ids = from_vector<int64_t>({1, 1, 2}, {1, 3});
  const Tensor targets = from_vector<int64_t>({1, 2, 0}, {1, 3});
  const Tensor wte = gpt.named_parameters()[0].second;
  backward(gpt.loss(ids, targets));
  const auto grad = wte.grad().to_vector<double>();
  // Token 4 is never read: what it has comes from the output layer. Moving it by eps agrees.
  const double eps = 1e-6;
  for (int64_t at : {4 * 4 + 1, 1 * 4 + 2}) {
    const Tensor values = wte.detach();
    double* element = values.data<double>() + at;
    const double before = *element;
    *element = before + eps;
    const double up = gpt.loss(ids, targets).item();
    *element = before - eps;
    const double down = gpt.loss(ids, targets).item();
    *element = before;
    EXPECT_NEAR(grad[static_cast<size_t>(at)], (up - down) / (2 * eps), 1e-8);
    EXPECT_GT(std::abs(grad[static_cast<size_t>(at)]), 1e-6);
  }
}

TEST(Gpt, LearnsASmallBatchByHeart) {
  Generator generator(1);
  Gpt gpt({.vocab_size = 16, .context = 8, .layers = 2, .heads = 2, .dim = 32}, generator);
  std::vector<int64_t> ids(32), targets(32);
  for (auto& t : ids) t = static_cast<int64_t>(generator.next_below(16));
  for (auto& t : targets) t = static_cast<int64_t>(generator.next_below(16));
  const Tensor x = from_vector(ids, {4, 8}), y = from_vector(targets, {4, 8});
  AdamW optimizer(decay_matrices_only(gpt.named_parameters(), 0.0), {.lr = 1e-2});
  for (int step = 0; step < 120; ++step) {
    backward(gpt.loss(x, y));
    optimizer.step();
    optimizer.zero_grad();
  }
  EXPECT_LT(gpt.loss(x, y).item(), 0.05);
}

TEST(Gpt, DropoutActsInTrainingOnlyAndTrains) {
  Generator generator(1);
  Gpt gpt({.vocab_size = 9, .context = 4, .layers = 1, .heads = 2, .dim = 8, .dropout = 0.3},
          generator);
  const Tensor ids = from_vector<int64_t>({1, 2, 3, 4}, {1, 4});
  EXPECT_NE(gpt.forward(ids).to_vector<float>(), gpt.forward(ids).to_vector<float>());
  EXPECT_EQ(gpt.named_generators().size(), 4u);  // embedding, attention, two on the residual
  backward(gpt.loss(ids, ids));
  for (const auto& [name, p] : gpt.named_parameters()) {
    ASSERT_TRUE(p.grad().defined()) << name;
    EXPECT_TRUE(std::isfinite(deviation(p.grad()))) << name;
  }
  gpt.eval();
  EXPECT_EQ(gpt.forward(ids).to_vector<float>(), gpt.forward(ids).to_vector<float>());
}

TEST(Gpt, CountsParametersAndWork) {
  Generator generator(1);
  const Gpt gpt({.vocab_size = 10, .context = 6, .layers = 3, .heads = 2, .dim = 4}, generator);
  const int64_t block = 2 * 4 + (4 * 12 + 12) + (4 * 4 + 4) + 2 * 4 + (4 * 16 + 16) + (16 * 4 + 4);
  const int64_t count = 10 * 4 + 6 * 4 + 3 * block + 2 * 4;
  EXPECT_EQ(gpt.num_parameters(), count);
  EXPECT_DOUBLE_EQ(gpt.flops_per_token(), 6.0 * static_cast<double>(count) + 6.0 * 3 * 4 * 6);
}

TEST(Gpt, SizesAreThoseOfGpt2) {
  const std::pair<const char*, int64_t> published[] = {{"gpt2", 124439808},
                                                       {"gpt2-medium", 354823168},
                                                       {"gpt2-large", 774030080},
                                                       {"gpt2-xl", 1557611200}};
  for (const auto& [name, count] : published) {
    const GptConfig config = gpt2_config(name);
    EXPECT_EQ(num_parameters(config), count) << name;
    EXPECT_EQ(config.dim / config.heads, 64) << name;
    EXPECT_EQ(config.context, 1024) << name;
  }
  EXPECT_THAT([] { gpt2_config("gpt3"); }, ThrowsMessage<InvalidArgument>(HasSubstr("'gpt3'")));
  // The formula counts what a model has.
  Generator generator(1);
  const GptConfig small{
      .vocab_size = 10, .context = 6, .layers = 3, .heads = 2, .dim = 4, .vocab_multiple = 8};
  EXPECT_EQ(num_parameters(small), Gpt(small, generator).num_parameters());
}

TEST(Gpt, RowsThatPadTheVocabularyChangeNothing) {
  Generator generator(1);
  GptConfig config{.vocab_size = 13, .context = 5, .layers = 2, .heads = 2, .dim = 8};
  const Gpt plain(config, generator);
  config.vocab_multiple = 16;
  const Gpt padded(config, generator);
  EXPECT_EQ(config.vocab_rows(), 16);
  load_state(padded.state_dict(), gpt2_weights(plain.state_dict(), config.vocab_rows()));
  const Tensor ids = from_vector<int64_t>({1, 2, 12, 4, 0, 7}, {2, 3});
  EXPECT_EQ(padded.forward(ids).shape(), (Shape{2, 3, 13}));
  const std::vector<double> expected = plain.forward(ids).to_vector<double>(),
                            logits = padded.forward(ids).to_vector<double>();
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 1e-6);

  const Tensor loss = padded.loss(ids, ids), plain_loss = plain.loss(ids, ids);
  EXPECT_NEAR(loss.item(), plain_loss.item(), 1e-6);
  backward(loss);
  backward(plain_loss);
  const StateDict parameters = padded.named_parameters(), wanted = plain.named_parameters();
  EXPECT_THAT(slice(parameters[0].second.grad(), 0, 13, 16).to_vector<float>(), Each(0));
  for (size_t p = 0; p < parameters.size(); ++p) {
    const Tensor all = parameters[p].second.grad(), expected_grad = wanted[p].second.grad();
    const auto got = slice(all, 0, 0, expected_grad.size(0)).to_vector<double>(),
               want = expected_grad.to_vector<double>();
    EXPECT_GT(deviation(expected_grad), 0) << parameters[p].first;
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], 1e-6) << parameters[p].first << " at " << i;
    }
  }
}

TEST(Gpt, NamesWhatDoesNotFit) {
  Generator generator(1);
  const Gpt gpt({.vocab_size = 9, .context = 4, .layers = 1, .heads = 2, .dim = 8}, generator);
  EXPECT_THAT(
      [&] {
        gpt.forward(zeros({1, 5}, {DType::kI64}));
      },
      ThrowsMessage<InvalidArgument>("gpt: time must be in [1, 4], the context, got 5"));
  EXPECT_THAT([&] { gpt.forward(zeros({5}, {DType::kI64})); },
              ThrowsMessage<InvalidArgument>("gpt: ids must be [batch, time], got [5]"));
  EXPECT_THAT(
      [&] {
        gpt.forward(full({1, 2}, 9, {DType::kI64}));
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("9")));
  EXPECT_THAT([&] { Gpt({.layers = 0}, generator); },
              ThrowsMessage<InvalidArgument>(HasSubstr("must be positive")));
  EXPECT_THAT([&] { Gpt({.heads = 3, .dim = 16}, generator); },
              ThrowsMessage<InvalidArgument>(HasSubstr("multiple of heads")));
  EXPECT_THAT([&] { Gpt({.dropout = 1.5}, generator); },
              ThrowsMessage<InvalidArgument>(HasSubstr("got 1.5")));
}

}  // namespace
}  // namespace trireme
