#include "core/data/decode_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "tests/data/jpeg_files.h"
#include "tests/data/png_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::flat;
using ::testing::HasSubstr;
using testing::jpeg_bytes;
using testing::Pixels;
using testing::png_bytes;
using testing::PngImage;
using testing::TempDir;

std::vector<uint8_t> counting(int count) {
  std::vector<uint8_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), uint8_t{1});
  return values;
}

RgbImage read(const std::string& bytes) {
  const TempDir dir;
  return read_image(dir.write("file", bytes));
}

std::vector<int> pixels_of(const RgbImage& image) {
  return {image.pixels.get(), image.row(image.rows)};
}

/// Each pixel of a file of one colour lies within 3 of the expected one.
void expect_color(const std::string& bytes, std::vector<int> expected) {
  const RgbImage image = read(bytes);
  const std::vector<int> pixels = pixels_of(image);
  for (size_t i = 0; i < pixels.size(); ++i) ASSERT_NEAR(pixels[i], expected[i % 3], 3) << i;
}

std::string refusal(std::string_view bytes) {
  const TempDir dir;
  const std::string path = dir.write("cat.jpg", bytes);
  const std::string message = testing::message_of<DataError>([&] { read_image(path); });
  EXPECT_THAT(message, HasSubstr(path));
  return message;
}

TEST(PngImages, ColorsAreReadExactly) {
  const std::vector<uint8_t> values = counting(2 * 4 * 3);
  const RgbImage image = read(png_bytes({.rows = 2, .cols = 4, .bytes = values}));
  EXPECT_EQ(image.rows, 2);
  EXPECT_EQ(image.cols, 4);
  EXPECT_THAT(pixels_of(image), ElementsAreArray(values));
  const std::string interlaced =
      png_bytes({.rows = 2, .cols = 4, .bytes = values, .interlaced = true});
  EXPECT_THAT(pixels_of(read(interlaced)), ElementsAreArray(values));
}

TEST(PngImages, GreyBecomesThreeEqualChannels) {
  PngImage grey{.rows = 1, .cols = 2, .color_type = PNG_COLOR_TYPE_GRAY, .bytes = {7, 200}};
  EXPECT_THAT(pixels_of(read(png_bytes(grey))), ElementsAre(7, 7, 7, 200, 200, 200));
  grey.bit_depth = 1;
  grey.bytes = {0x40};  // black, white
  EXPECT_THAT(pixels_of(read(png_bytes(grey))), ElementsAre(0, 0, 0, 255, 255, 255));
}

TEST(PngImages, SixteenBitsAreScaledToEight) {
  // 0x8080 is 128 * 257. 0x8100 is nearer to that than to 129 * 257, whatever its high byte says.
  const PngImage grey{.rows = 1,
                      .cols = 2,
                      .color_type = PNG_COLOR_TYPE_GRAY,
                      .bit_depth = 16,
                      .bytes = {0x80, 0x80, 0x81, 0x00}};
  EXPECT_THAT(pixels_of(read(png_bytes(grey))), ElementsAre(128, 128, 128, 128, 128, 128));
  const PngImage colors{
      .rows = 1, .cols = 1, .bit_depth = 16, .bytes = {0x80, 0xFF, 0, 0, 255, 255}};
  EXPECT_THAT(pixels_of(read(png_bytes(colors))), ElementsAre(128, 0, 255));
}

TEST(PngImages, TransparencyIsDroppedAndPalettesAreLookedUp) {
  const PngImage transparent{.rows = 1,
                             .cols = 2,
                             .color_type = PNG_COLOR_TYPE_RGB_ALPHA,
                             .bytes = {1, 2, 3, 0, 4, 5, 6, 128}};
  EXPECT_THAT(pixels_of(read(png_bytes(transparent))), ElementsAre(1, 2, 3, 4, 5, 6));
  const PngImage palette{.rows = 1,
                         .cols = 2,
                         .color_type = PNG_COLOR_TYPE_PALETTE,
                         .bytes = {1, 0},
                         .palette = {{10, 20, 30}, {40, 50, 60}}};
  EXPECT_THAT(pixels_of(read(png_bytes(palette))), ElementsAre(40, 50, 60, 10, 20, 30));
}

TEST(JpegImages, ColorsAndGreyAreRead) {
  expect_color(jpeg_bytes(flat(9, 17, {200, 100, 50})), {200, 100, 50});
  expect_color(jpeg_bytes(flat(16, 8, {90})), {90, 90, 90});
  const RgbImage image = read(jpeg_bytes(flat(9, 17, {0, 0, 0})));
  EXPECT_EQ(image.rows, 9);
  EXPECT_EQ(image.cols, 17);
}

TEST(JpegImages, InkIsConvertedToLight) {
  // Cyan 100, magenta 0, yellow 50, black 55 of 255; Adobe's files hold 255 less that.
  const std::vector<int> light = {155 * 200 / 255, 255 * 200 / 255, 205 * 200 / 255};
  expect_color(jpeg_bytes(flat(8, 8, {155, 255, 205, 200})), light);
  expect_color(jpeg_bytes(flat(8, 8, {100, 0, 50, 55}), 95, false), light);
}

TEST(JpegImages, OddBytesBetweenSegmentsDoNoHarm) {
  std::string bytes = jpeg_bytes(flat(8, 8, {200, 100, 50}));
  constexpr size_t kAfterApp0 = 2 + 18;
  bytes.insert(kAfterApp0, "odd");
  expect_color(bytes, {200, 100, 50});
}

TEST(Images, DamageIsAnErrorThatNamesTheFile) {
  Pixels noise{40, 40, 3, counting(40 * 40 * 3)};
  const std::string jpeg = jpeg_bytes(noise);
  const std::string png = png_bytes({.rows = 40, .cols = 40, .bytes = noise.values});
  EXPECT_THAT(refusal(jpeg.substr(0, jpeg.size() / 2)),
              AllOf(HasSubstr("is damaged (libjpeg: Premature end"), HasSubstr("; replace or")));
  EXPECT_THAT(refusal(jpeg.substr(0, 100)), HasSubstr("is damaged (libjpeg: "));
  EXPECT_THAT(refusal(png.substr(0, png.size() / 2)),
              HasSubstr("is damaged (libpng: the file is cut off)"));
  std::string flipped = png;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 4);
  EXPECT_THAT(refusal(flipped), HasSubstr("is damaged (libpng: "));
}

TEST(Images, AnyDamagedByteIsSeenOrDoesNoHarm) {
  const Pixels noise{24, 24, 3, counting(24 * 24 * 3)};
  const TempDir dir;
  Generator random(9);
  int refused = 0;
  for (const std::string& sound :
       {jpeg_bytes(noise), png_bytes({.rows = 24, .cols = 24, .bytes = noise.values})}) {
    for (int i = 0; i < 300; ++i) {
      std::string bytes = sound;
      // Behind the first bytes, which say what it is.
      const size_t at = 8 + random.next_below(bytes.size() - 8);
      bytes[at] = static_cast<char>(bytes[at] ^ (1 + random.next_below(255)));
      try {
        EXPECT_GT(read_image(dir.write("file", bytes)).rows, 0);
      } catch (const DataError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 250);  // at the least what PNG's checksums see
}

TEST(Images, WhatIsNoImageIsRefused) {
  EXPECT_THAT(refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(refusal("GIF89a"), HasSubstr("is neither PNG nor JPEG"));
  const TempDir dir;
  EXPECT_THAT(testing::message_of<DataError>([&] { read_image(dir / "absent.png"); }),
              HasSubstr("absent.png, No such file"));
  EXPECT_THAT(testing::message_of<DataError>([&] { read_image(dir.path()); }),
              HasSubstr("is not a regular file"));
}

TEST(Images, AbsurdExtentsAreRefusedBeforeMemoryIsTaken) {
  std::string jpeg = jpeg_bytes(flat(8, 8, {1, 2, 3}));
  const size_t frame = jpeg.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, "\xF0\xF0\xF0\xF0");  // rows and columns
  EXPECT_THAT(refusal(jpeg), HasSubstr("pixels, got 61680 rows x 61680 columns"));
  const TempDir dir;
  const std::string path = dir.write("long.png", "");
  std::filesystem::resize_file(path, int64_t{1} << 31);  // without blocks on the disk
  EXPECT_THAT(testing::message_of<DataError>([&] { read_image(path); }),
              HasSubstr("got 2147483648; replace"));
}

}  // namespace
}  // namespace trireme
