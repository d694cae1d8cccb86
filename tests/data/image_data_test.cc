#include "core/data/image_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "tests/data/idx_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::idx_bytes;
using testing::TempDir;

// `count` images of 1 x 2 pixels with values that grow, and labels 0, 1, 2, 0, 1, ...
void write_pair(const TempDir& dir, const std::string& part, int count, int label_count,
                const char* extension = "") {
  std::string pixels, labels;
  for (int i = 0; i < 2 * count; ++i) pixels += static_cast<char>(i * 10);
  for (int i = 0; i < label_count; ++i) labels += static_cast<char>(i % 3);
  dir.write(part + "images-idx3-ubyte" + extension, idx_bytes({count, 1, 2}, pixels));
  dir.write(part + "labels-idx1-ubyte" + extension, idx_bytes({label_count}, labels));
}

std::string refusal(const std::string& path) {
  return testing::message_of<DataError>([&] { open_images(path); });
}

TEST(ImageData, OnePairIsSplitEightyToTwenty) {
  const TempDir dir;
  write_pair(dir, "t10k-", 10, 10);
  const ImageSplit split = open_images(dir.path());
  EXPECT_EQ(split.train->size(), 8);
  EXPECT_EQ(split.test->size(), 2);
  EXPECT_EQ(split.classes, 3);
  const std::vector<int64_t> indices = {0, 1};
  EXPECT_THAT(split.test->collate(indices).targets.to_vector<int64_t>(), ElementsAre(2, 0));
}

TEST(ImageData, PublishedSplitIsKeptAndThePlainFileWins) {
  const TempDir dir;
  write_pair(dir, "train-", 6, 6);
  write_pair(dir, "t10k-", 3, 3);
  dir.write("train-images-idx3-ubyte.gz", "this one must not be read");
  const ImageSplit split = open_images(dir.path());
  EXPECT_EQ(split.train->size(), 6);
  EXPECT_EQ(split.test->size(), 3);
}

TEST(ImageData, TrainingPixelsAreStandardised) {
  const TempDir dir;
  write_pair(dir, "", 10, 10);
  const ImageSplit split = open_images(dir.path());
  const std::vector<int64_t> indices = {0, 1, 2, 3, 4, 5, 6, 7};
  const Batch batch = split.train->collate(indices);
  EXPECT_EQ(batch.inputs.shape(), (Shape{8, 1, 2, 1}));
  EXPECT_EQ(batch.inputs.dtype(), DType::kF32);
  EXPECT_EQ(batch.samples, 8);
  double sum = 0, square_sum = 0;
  for (const float value : batch.inputs.to_vector<float>()) {
    sum += value;
    square_sum += value * value;
  }
  EXPECT_NEAR(sum / 16, 0, 1e-6);
  EXPECT_NEAR(square_sum / 16, 1, 1e-5);
  // The test part uses the moments of the training part: 0, 10, ..., 150 have mean 75.
  const std::vector<int64_t> first = {0};
  const double deviation = std::sqrt((16 * 16 - 1) / 12.0) * 10;
  EXPECT_NEAR(split.test->collate(first).inputs.to_vector<float>()[0], (160 - 75) / deviation,
              1e-5);
}

TEST(ImageData, RefusesWhatDoesNotFitTogether) {
  const TempDir dir;
  EXPECT_THAT(refusal(dir / "absent"), HasSubstr("absent, No such file or directory"));
  EXPECT_THAT(refusal(dir.path()), HasSubstr("got 0 pairs"));
  write_pair(dir, "", 10, 9);
  EXPECT_THAT(refusal(dir.path()), HasSubstr("every image needs a label, got 10 images"));
  write_pair(dir, "", 1, 1);
  EXPECT_THAT(refusal(dir.path()), HasSubstr("both parts need images, got 0 to train"));
  dir.write("images-idx3-ubyte", idx_bytes({4}, "abcd"));
  EXPECT_THAT(refusal(dir.path()), HasSubstr("[count, rows, cols], got 1 dimensions"));
}

TEST(ImageData, RefusesOptionsOfFolders) {
  const TempDir dir;
  write_pair(dir, "", 10, 10);
  EXPECT_THAT(
      testing::message_of<InvalidArgument>([&] { open_images(dir.path(), {.image_size = 32}); }),
      HasSubstr("are for folders of PNG and JPEG files, but " + dir.path()));
  EXPECT_EQ(open_images(dir.path(), {.crop_padding = 1, .mirror = true}).changes,
            "--crop 1 --mirror");
}

TEST(ImageData, RefusesAnIndexOutside) {
  const TempDir dir;
  write_pair(dir, "", 10, 10);
  const ImageSplit split = open_images(dir.path());
  const std::vector<int64_t> indices = {8};
  EXPECT_THROW(split.train->collate(indices), InvalidArgument);
}

}  // namespace
}  // namespace trireme
