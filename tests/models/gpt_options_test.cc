// Gpt between GPT-2 and Llama: every option alone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/checkpoint/load_state.h"
#include "core/models/gpt.h"
#include "core/optim/adam.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

constexpr GptConfig kSmall{.vocab_size = 12, .context = 8, .layers = 2, .heads = 4, .dim = 16};

struct Option {
  const char* name;
  GptConfig config;
};

GptConfig changed(void (*change)(GptConfig& c)) {
  GptConfig config = kSmall;
  change(config);
  return config;
}

std::vector<Option> options() {
  return {{"gpt2", kSmall},
          {"kv_heads", changed([](GptConfig& c) { c.kv_heads = 2; })},
          {"hidden", changed([](GptConfig& c) { c.hidden = 24; })},
          {"rms", changed([](GptConfig& c) { c.norm = NormKind::kRmsNorm; })},
          {"swiglu", changed([](GptConfig& c) { c.feed_forward = FeedForwardKind::kSwiGlu; })},
          {"rotary", changed([](GptConfig& c) { c.position = PositionKind::kRotary; })},
          {"no_bias", changed([](GptConfig& c) { c.bias = Bias::kNo; })},
          {"untied", changed([](GptConfig& c) { c.is_head_tied = false; })},
          {"llama", llama_shaped(kSmall)},
          {"llama_padded", changed([](GptConfig& c) {
             c = llama_shaped(c);
             c.kv_heads = 1;
             c.vocab_multiple = 8;
             c.dropout = 0.1;
           })}};
}

class GptOption : public ::testing::TestWithParam<Option> {};
INSTANTIATE_TEST_SUITE_P(All, GptOption, ::testing::ValuesIn(options()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST_P(GptOption, HaveTheParametersTheFormulaCounts) {
  Generator generator(1);
  EXPECT_EQ(Gpt(GetParam().config, generator).num_parameters(), num_parameters(GetParam().config));
}

TEST_P(GptOption, DoNotSeeTheFutureButThePast) {
  Generator generator(1);
  Gpt gpt(GetParam().config, generator);
  gpt.eval();
  const auto logits_at = [&](std::vector<int64_t> ids, int64_t time) {
    return slice(gpt.forward(from_vector(ids, {1, 6})), 1, time, time + 1).to_vector<float>();
  };
  EXPECT_EQ(logits_at({1, 2, 3, 4, 5, 6}, 2), logits_at({1, 2, 3, 9, 9, 9}, 2));
  EXPECT_NE(logits_at({1, 2, 3, 4, 5, 6}, 5), logits_at({1, 9, 3, 4, 5, 6}, 5));
  // The order of earlier tokens matters, too.
  EXPECT_NE(logits_at({1, 2, 3, 4, 5, 6}, 5), logits_at({2, 1, 3, 4, 5, 6}, 5));
}

TEST_P(GptOption, LearnASmallBatchByHeart) {
  Generator generator(1);
  GptConfig config = GetParam().config;
  config.dropout = 0;
  const Gpt gpt(config, generator);
  std::vector<int64_t> ids(24), targets(24);
  for (auto& t : ids) t = static_cast<int64_t>(generator.next_below(12));
  for (auto& t : targets) t = static_cast<int64_t>(generator.next_below(12));
  const Tensor x = from_vector(ids, {3, 8}), y = from_vector(targets, {3, 8});
  AdamW optimizer(decay_matrices_only(gpt.named_parameters(), 0.0), {.lr = 1e-2});
  for (int step = 0; step < 150; ++step) {
    const Tensor loss = gpt.loss(x, y);
    backward(loss);
    for (const auto& [name, p] : gpt.named_parameters()) ASSERT_TRUE(p.grad().defined()) << name;
    optimizer.step();
    optimizer.zero_grad();
  }
  EXPECT_LT(gpt.loss(x, y).item(), 0.1);
}

TEST_P(GptOption, ContinueBeyondTheContext) {
  Generator generator(1);
  Gpt gpt(GetParam().config, generator);
  gpt.eval();
  const auto tokens = gpt.generate({1, 2}, 12, {}, generator);
  ASSERT_EQ(tokens.size(), 14u);
  for (int64_t t : tokens) EXPECT_TRUE(t >= 0 && t < 12) << t;
}

TEST(GptFlops, LeaveOutATableThatIsOnlyRead) {
  Generator generator(1);
  GptConfig config = kSmall;
  const double tied = Gpt(config, generator).flops_per_token();
  config.is_head_tied = false;
  EXPECT_DOUBLE_EQ(Gpt(config, generator).flops_per_token(), tied);
}

TEST(GptConfigErrors, NameTheOption) {
  Generator generator(1);
  const auto message = [&](void (*change)(GptConfig & c)) {
    return message_of<InvalidArgument>([&] { Gpt(changed(change), generator); });
  };
  EXPECT_THAT(message([](GptConfig& c) { c.kv_heads = 3; }),
              HasSubstr("kv_heads must divide heads, got 3 and 4"));
  EXPECT_THAT(message([](GptConfig& c) { c.hidden = -1; }),
              HasSubstr("gpt: hidden must not be negative, got -1"));
  EXPECT_THAT(message([](GptConfig& c) { c.norm_eps = 0; }),
              HasSubstr("gpt: norm_eps must be positive and finite, got 0"));
  EXPECT_THAT(message([](GptConfig& c) { c.rope_theta = -5; }),
              HasSubstr("gpt: rope_theta must be positive and finite, got -5"));
  EXPECT_THAT(message([](GptConfig& c) {
                c.position = PositionKind::kRotary;
                c.dim = 12;
              }),
              HasSubstr("even width of a head, got 3"));
  EXPECT_THAT(message_of<InvalidArgument>([] { num_parameters({.heads = 0}); }),
              HasSubstr("must be positive"));
}

}  // namespace
}  // namespace trireme
