#include "core/data/cifar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/image_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

// A record whose pixel (row, col) of channel c is 100 c + row + col.
std::string record(char label) {
  std::string bytes(1, label);
  for (int c = 0; c < 3; ++c) {
    for (int row = 0; row < 32; ++row) {
      for (int col = 0; col < 32; ++col) bytes += static_cast<char>(100 * c + row + col);
    }
  }
  return bytes;
}

TEST(Cifar, ReadsTheBatchesThatAreThereWithChannelsLast) {
  const TempDir dir;
  dir.write("data_batch_1.bin", record(3) + record(9));
  dir.write("data_batch_3.bin", record(1));
  dir.write("test_batch.bin", record(2));
  const ImageSplit split = open_images(dir.path());
  EXPECT_EQ(split.train->size(), 3);
  EXPECT_EQ(split.test->size(), 1);
  EXPECT_EQ(split.classes, 10);
  const auto images = read_cifar10(dir.path(), ImagePart::kTest);
  EXPECT_EQ(images->pixels[(5 * 32 + 7) * 3 + 2], 200 + 5 + 7);
  const std::vector<int64_t> first{0};
  EXPECT_EQ(split.train->collate(first).inputs.shape(), (Shape{1, 32, 32, 3}));
}

TEST(Cifar, RefusesDamage) {
  const TempDir dir;
  dir.write("data_batch_1.bin", record(3));
  dir.write("test_batch.bin", record(3) + "rest");
  const auto open = [&] { open_images(dir.path()); };
  EXPECT_THAT(testing::message_of<DataError>(open), HasSubstr("multiple of 3073, got 3077 bytes"));
  dir.write("test_batch.bin", record(12));
  EXPECT_THAT(testing::message_of<DataError>(open), HasSubstr("below 10, got 12 in record 0"));
}

std::vector<float> pixels_of(const Batch& batch) { return batch.inputs.to_vector<float>(); }

// One image of 2 x 3 grey pixels: 10 20 30 / 40 50 60.
ImageDataset small_image() {
  auto images = std::make_shared<LabelledImages>();
  images->pixels = {10, 20, 30, 40, 50, 60};
  images->labels = {0};
  images->rows = 2;
  images->cols = 3;
  return {images, 0, 1};
}

TEST(Augmentation, ShiftsAndMirrorsAsSeedAndStepSay) {
  ImageDataset data = small_image();
  const std::vector<int64_t> index{0};
  const std::vector<float> plain = pixels_of(data.collate(index));
  EXPECT_EQ(pixels_of(data.collate(index, 3)), plain) << "nothing is set";

  data.augment_with({.mirror = true, .seed = 1});
  const std::vector<float> mirrored{plain[2], plain[1], plain[0], plain[5], plain[4], plain[3]};
  int count = 0;
  for (int64_t step = 0; step < 100; ++step) {
    const std::vector<float> got = pixels_of(data.collate(index, step));
    EXPECT_EQ(pixels_of(data.collate(index, step)), got) << "the same step again";
    EXPECT_TRUE(got == plain || got == mirrored);
    count += got == mirrored;
  }
  EXPECT_GT(count, 30);
  EXPECT_LT(count, 70);

  data.augment_with({.crop_padding = 1, .seed = 1});
  bool moved_down = false, moved_right = false;
  for (int64_t step = 0; step < 100; ++step) {
    const std::vector<float> got = pixels_of(data.collate(index, step));
    moved_down = moved_down || got == std::vector<float>{plain[3], plain[4], plain[5], 0, 0, 0};
    moved_right =
        moved_right || got == std::vector<float>{plain[1], plain[2], 0, plain[4], plain[5], 0};
  }
  EXPECT_TRUE(moved_down && moved_right);
  EXPECT_EQ(pixels_of(data.collate(index)), plain) << "validation sees the image as it is";
}

}  // namespace
}  // namespace trireme
