// Options that no forward could use are refused where the layer is made, in the words of its op.

#include <gtest/gtest.h>

#include <cmath>

#include "core/nn/convolution.h"
#include "core/nn/recurrent.h"
#include "core/nn/transformer.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using testing::message_of;

TEST(LayerOptions, OfConvolutions) {
  Generator g(1);
  const auto conv = [&](const Conv2dOptions& options, int64_t in = 4) {
    return message_of([&] { Conv2d(in, 6, {3, 3}, g, options); });
  };
  EXPECT_EQ(
      conv({.stride = {1, 0}}),
      "conv2d: stride and dilation must be at least 1 and padding at least 0, got 0, 1 and 0");
  EXPECT_EQ(
      conv({.padding = {-1, 0}}),
      "conv2d: stride and dilation must be at least 1 and padding at least 0, got 1, 1 and -1");
  EXPECT_EQ(
      conv({.dilation = {0, 1}}),
      "conv2d: stride and dilation must be at least 1 and padding at least 0, got 1, 0 and 0");
  EXPECT_EQ(conv({.groups = 3}), "conv2d: 3 groups must divide the 4 input channels");
  EXPECT_EQ(conv({.groups = 2}, 0), "layer: sizes must be positive, got [6, 3, 3, 0]");
  EXPECT_EQ(message_of([&] {
              Conv2d(4, 3, {1, 1}, g, {.groups = 2});
            }),
            "conv2d: 2 groups must divide the 3 output channels");
  EXPECT_EQ(
      message_of([&] { Conv1d(4, 6, 3, g, {.stride = -1}); }),
      "conv1d: stride and dilation must be at least 1 and padding at least 0, got -1, 1 and 0");
  EXPECT_EQ(
      message_of([&] {
        ConvTranspose2d(4, 6, {3, 3}, g, {.output_padding = {0, 1}});
      }),
      "conv_transpose2d: output padding must be at least 0 and less than the stride 1, got 1");
  EXPECT_EQ(
      message_of([&] { ConvTranspose1d(4, 6, 3, g, {.output_padding = -1}); }),
      "conv_transpose1d: output padding must be at least 0 and less than the stride 1, got -1");
  EXPECT_EQ(message_of([&] {
              ConvTranspose2d(3, 4, {1, 1}, g, {.groups = 2});
            }),
            "conv_transpose2d: 2 groups must divide the 3 input channels");
}

TEST(LayerOptions, OfNorms) {
  EXPECT_EQ(message_of([] { LayerNorm(4, -1); }),
            "layer_norm: eps must be at least 0 and finite, got -1");
  EXPECT_EQ(message_of([] { RMSNorm(4, INFINITY); }),
            "rms_norm: eps must be at least 0 and finite, got inf");
  EXPECT_EQ(message_of([] { GroupNorm(2, 4, -1); }),
            "group_norm: eps must be at least 0 and finite, got -1");
  EXPECT_EQ(message_of([] { GroupNorm(3, 4); }), "group_norm: 3 groups must divide the 4 channels");
  EXPECT_EQ(message_of([] { BatchNorm(4, 0.1, -1); }),
            "batch_norm: eps must be at least 0 and finite, got -1");
  EXPECT_EQ(message_of([] { BatchNorm(4, 1.5); }),
            "batch_norm: momentum must be in [0, 1], got 1.5");
  EXPECT_EQ(message_of([] { LayerNorm(0); }), "layer: sizes must be positive, got [0]");
}

TEST(LayerOptions, OfSequences) {
  Generator g(1);
  EXPECT_EQ(message_of([&] { Lstm({.in = 3, .hidden = 0}, g); }),
            "layer: sizes must be positive, got [3, 0]");
  EXPECT_EQ(message_of([&] { Gru({.in = 3, .hidden = 2, .dropout = 1.5}, g); }),
            "dropout: probability must be in [0, 1), got 1.5");
  EXPECT_EQ(message_of([&] { CausalSelfAttention({.dim = 8, .heads = 2, .rope_theta = -1}, g); }),
            "attention: rope_theta must be positive and finite, got -1");
}

}  // namespace
}  // namespace trireme
