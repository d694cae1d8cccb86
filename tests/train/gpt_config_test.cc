#include "launcher/gpt_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

TEST(GptConfigOf, NothingGivenIsGpt2) {
  const GptConfig c = gpt_config_of({}, {}, 256);
  EXPECT_EQ(c.layers, 4);
  EXPECT_EQ(c.dim, 128);
  EXPECT_EQ(c.norm, NormKind::kLayerNorm);
  EXPECT_EQ(c.position, PositionKind::kLearned);
  EXPECT_EQ(c.feed_forward, FeedForwardKind::kGelu);
  EXPECT_EQ(c.bias, Bias::kYes);
  EXPECT_TRUE(c.is_head_tied);
  EXPECT_EQ(shape_text(c), "4 layers, 4 heads, 128 wide");
}

TEST(GptConfigOf, EveryFlagWinsOverTheArchitecture) {
  GptOptions o;
  o.arch = "llama";
  EXPECT_EQ(shape_text(gpt_config_of(o, {}, 256)),
            "4 layers, 4 heads, 128 wide, rms norm, rotary base 10000, swiglu 384 wide, no biases, "
            "untied head");
  o.norm = "layer";
  o.position = "learned";
  o.activation = "gelu";
  o.bias = "yes";
  o.head = "tied";
  EXPECT_EQ(shape_text(gpt_config_of(o, {}, 256)), "4 layers, 4 heads, 128 wide");
}

TEST(GptConfigOf, TakesEachOptionAlone) {
  const auto text = [](void (*change)(GptOptions & o)) {
    GptOptions o;
    change(o);
    const std::string whole = shape_text(gpt_config_of(o, {}, 256));
    const std::string usual = "4 layers, 4 heads, 128 wide";
    EXPECT_EQ(whole.substr(0, usual.size()), usual);
    return whole.substr(usual.size());
  };
  EXPECT_EQ(text([](GptOptions& o) { o.norm = "rms"; }), ", rms norm");
  EXPECT_EQ(text([](GptOptions& o) { o.position = "rotary"; }), ", rotary base 10000");
  EXPECT_EQ(text([](GptOptions& o) {
              o.position = "rotary";
              o.rope_theta = 5e5;
            }),
            ", rotary base 500000");
  EXPECT_EQ(text([](GptOptions& o) { o.activation = "swiglu"; }), ", swiglu 384 wide");
  EXPECT_EQ(text([](GptOptions& o) { o.intermediate = 40; }), ", gelu 40 wide");
  EXPECT_EQ(text([](GptOptions& o) { o.bias = "no"; }), ", no biases");
  EXPECT_EQ(text([](GptOptions& o) { o.head = "untied"; }), ", untied head");
  EXPECT_EQ(text([](GptOptions& o) { o.kv_heads = 1; }), ", 1 heads of keys and values");
  EXPECT_EQ(text([](GptOptions& o) { o.kv_heads = 4; }), "");
  EXPECT_EQ(text([](GptOptions& o) { o.norm_eps = 1e-6; }), ", norm epsilon 1e-06");
}

TEST(GptConfigOf, FlagsWinOverTheFileButNotItsKind) {
  GptConfig file = llama_shaped({.vocab_size = 300, .context = 4096, .layers = 3, .dim = 64});
  GptOptions o;
  EXPECT_EQ(gpt_config_of(o, file, 300).layers, 3);
  EXPECT_EQ(gpt_config_of(o, file, 300).context, 1024);  // unasked, not as long as it may be
  o.context = 2048;
  o.rope_theta = 77;
  EXPECT_EQ(gpt_config_of(o, file, 300).context, 2048);
  EXPECT_EQ(gpt_config_of(o, file, 300).rope_theta, 77);
  EXPECT_THAT(message_of<InvalidArgument>([&] { gpt_config_of(o, file, 256); }),
              HasSubstr("vocabulary of 256 but --init-from one of 300"));
  o.arch = "gpt2";
  EXPECT_THAT(message_of<InvalidArgument>([&] { gpt_config_of(o, file, 300); }),
              HasSubstr("--arch gpt2 contradicts"));
}

}  // namespace
}  // namespace trireme
