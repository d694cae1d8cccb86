#include "core/data/resample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/error.h"
#include "core/data/image_crop.h"

namespace trireme {
namespace {

// The formula of tests/golden/make_resized.py.
RgbImage source(int64_t rows, int64_t cols) {
  RgbImage image(rows, cols);
  uint8_t* pixel = image.pixels.get();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      for (int64_t k = 0; k < 3; ++k) {
        *pixel++ = static_cast<uint8_t>((r * 7 + c * 13 + k * 61 + r * c % 31 * 5) % 256);
      }
    }
  }
  return image;
}

std::vector<int> pixels_of(const RgbImage& image) {
  return {image.pixels.get(), image.row(image.rows)};
}

PixelBox box_of(const std::array<int64_t, 4>& b) { return {b[0], b[1], b[2], b[3]}; }

TEST(Resample, GivesPillowsBytes) {
  std::ifstream file(TRIREME_GOLDEN_DIR "/resized.json");
  const nlohmann::json cases = nlohmann::json::parse(file);
  ASSERT_GE(cases.size(), 7u);
  for (const nlohmann::json& c : cases) {
    const auto [rows, cols] = c["source"].get<std::array<int64_t, 2>>();
    const auto [scaled_rows, scaled_cols] = c["scaled"].get<std::array<int64_t, 2>>();
    const RgbImage out = resample(source(rows, cols), {.source = box_of(c["box"]),
                                                       .rows = scaled_rows,
                                                       .cols = scaled_cols,
                                                       .window = box_of(c["window"])});
    EXPECT_EQ(pixels_of(out), c["pixels"].get<std::vector<int>>()) << c["box"] << c["scaled"];
  }
}

TEST(Resample, RefusesWhatLiesOutside) {
  const RgbImage image = source(4, 5);
  const Scaling whole{.source = {0, 0, 4, 5}, .rows = 2, .cols = 2, .window = {0, 0, 2, 2}};
  Scaling wrong = whole;
  wrong.source.left = 1;
  EXPECT_THROW(resample(image, wrong), InvalidArgument);
  wrong = whole;
  wrong.window.rows = 3;
  EXPECT_THROW(resample(image, wrong), InvalidArgument);
  wrong = whole;
  wrong.source.rows = 0;
  EXPECT_THROW(resample(image, wrong), InvalidArgument);
}

TEST(CenterCrop, TakesTheMiddleOfTheShorterSide) {
  const Scaling s = center_crop(375, 500, 224, 256);
  EXPECT_EQ(s.source.rows, 375);
  EXPECT_EQ(s.source.cols, 500);
  EXPECT_EQ(s.rows, 256);
  EXPECT_EQ(s.cols, 341);
  EXPECT_EQ(s.window.top, 16);
  EXPECT_EQ(s.window.left, 58);  // of 117 spare columns
  EXPECT_THROW(center_crop(10, 10, 8, 7), InvalidArgument);
}

TEST(RandomCrop, KeepsItsLimitsAndUsesThem) {
  constexpr int64_t kRows = 300, kCols = 400, kDraws = 2000;
  Generator random(5);
  double least_share = 1, most_share = 0, least_ratio = 9, most_ratio = 0, share_sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const PixelBox box = random_crop(kRows, kCols, 32, 0.2, random).source;
    ASSERT_TRUE(box.top >= 0 && box.left >= 0 && box.top + box.rows <= kRows &&
                box.left + box.cols <= kCols);
    const double share = static_cast<double>(box.rows * box.cols) / (kRows * kCols);
    const double ratio = static_cast<double>(box.cols) / static_cast<double>(box.rows);
    least_share = std::min(least_share, share);
    most_share = std::max(most_share, share);
    least_ratio = std::min(least_ratio, ratio);
    most_ratio = std::max(most_ratio, ratio);
    share_sum += share;
  }
  EXPECT_NEAR(least_share, 0.2, 0.01);
  EXPECT_NEAR(most_share, 1, 0.03);
  EXPECT_NEAR(least_ratio, 0.75, 0.02);
  EXPECT_NEAR(most_ratio, 1.333, 0.02);
  // Large shares fit less often, so the mean lies below 0.6: it is 0.495 over many draws.
  EXPECT_NEAR(share_sum / kDraws, 0.495, 0.03);
}

TEST(RandomCrop, TakesTheMiddleWhereNothingFits) {
  Generator random(5);
  const PixelBox box = random_crop(10, 1000, 32, 0.9, random).source;
  EXPECT_EQ(box.rows, 10);
  EXPECT_EQ(box.cols, 13);  // 10 * 4 / 3
  EXPECT_EQ(box.left, 493);
}

}  // namespace
}  // namespace trireme
