#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/models/gpt.h"
#include "core/nn/init.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using Tokens = std::vector<int64_t>;

constexpr GptConfig kConfig{.vocab_size = 7, .context = 4, .layers = 1, .heads = 2, .dim = 8};

// Weights large enough that the next token depends on the ones before, and small enough that every
// token has a chance.
struct Sampled {
  explicit Sampled(GptConfig config = kConfig) : gpt(config, generator) {
    for (const auto& [name, p] : gpt.named_parameters()) init::normal(p, 0, 0.3, generator);
    gpt.eval();
  }
  Tokens generate(const Tokens& prompt, int64_t count, Gpt::Sampling sampling = {},
                  uint64_t seed = 1) {
    Generator draws(seed);
    return gpt.generate(prompt, count, sampling, draws);
  }
  Generator generator{3};
  Gpt gpt;
};

TEST(GptGenerate, ContinuesBeyondTheContext) {
  Sampled model;
  const Tokens tokens = model.generate({1, 2}, 20);
  ASSERT_EQ(tokens.size(), 22u);
  EXPECT_EQ(tokens[0], 1);
  EXPECT_EQ(tokens[1], 2);
  for (int64_t t : tokens) EXPECT_TRUE(t >= 0 && t < 7) << t;
  EXPECT_EQ(model.generate({1, 2}, 0), Tokens({1, 2}));
}

TEST(GptGenerate, SeesTheLastTokensOfALongPrompt) {
  Sampled model;
  const Tokens a = model.generate({0, 0, 0, 3, 1, 4, 1}, 5);
  const Tokens b = model.generate({3, 1, 4, 1}, 5);
  EXPECT_EQ(Tokens(a.begin() + 7, a.end()), Tokens(b.begin() + 4, b.end()));
}

TEST(GptGenerate, IsDecidedByTheGenerator) {
  Sampled model;
  EXPECT_EQ(model.generate({1}, 30, {}, 5), model.generate({1}, 30, {}, 5));
  EXPECT_NE(model.generate({1}, 30, {}, 5), model.generate({1}, 30, {}, 6));
}

TEST(GptGenerate, OneCandidateIsTheMostLikelyToken) {
  Sampled model;
  const Tokens greedy = model.generate({2}, 12, {.temperature = 0});
  EXPECT_EQ(model.generate({2}, 12, {.temperature = 3, .top_k = 1}), greedy);
  EXPECT_NE(model.generate({2}, 12, {.temperature = 3}), greedy);
}

TEST(GptGenerate, DrawsWithTheModelsProbabilities) {
  Sampled model;
  const int64_t draws = 4000;
  for (const auto& [temperature, top_k] : {std::pair{1.0, 0}, {2.0, 0}, {1.0, 3}}) {
    const auto logits =
        slice(model.gpt.forward(from_vector<int64_t>({5}, {1, 1})), 1, 0, 1).to_vector<double>();
    std::vector<double> sorted = logits, expected(7);
    std::sort(sorted.rbegin(), sorted.rend());
    double sum = 0;
    for (size_t i = 0; i < 7; ++i) {
      const bool kept = top_k == 0 || logits[i] >= sorted[static_cast<size_t>(top_k - 1)];
      sum += expected[i] = kept ? std::exp(logits[i] / temperature) : 0;
    }
    std::vector<int> counts(7);
    Generator generator(9);
    for (int64_t i = 0; i < draws; ++i) {
      ++counts[static_cast<size_t>(
          model.gpt.generate({5}, 1, {.temperature = temperature, .top_k = top_k}, generator)[1])];
    }
    for (size_t i = 0; i < 7; ++i) {
      const double p = expected[i] / sum, n = static_cast<double>(draws);
      // Four deviations of the binomial distribution.
      EXPECT_NEAR(counts[i], n * p, 4 * std::sqrt(n * p * (1 - p)) + 1e-9)
          << "token " << i << " temperature " << temperature << " top_k " << top_k;
    }
  }
}

TEST(GptGenerate, RefusesWhatHasNoAnswer) {
  Sampled model;
  EXPECT_THAT([&] { model.generate({}, 3); },
              ThrowsMessage<InvalidArgument>("generate: the prompt must have at least one token"));
  EXPECT_THAT([&] { model.generate({1}, 3, {.temperature = -1}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("must not be negative, got 3, -1 and 0")));
  EXPECT_THAT([&] { model.generate({7}, 3); }, ThrowsMessage<InvalidArgument>(HasSubstr("7")));
  init::constant(model.gpt.named_parameters()[0].second, std::nan(""));
  EXPECT_THAT([&] { model.generate({1}, 3, {.temperature = 0}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("logits that are not finite")));
}

}  // namespace
}  // namespace trireme
