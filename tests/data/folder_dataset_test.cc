#include "core/data/folder_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/image_files.h"
#include "core/data/loader.h"
#include "tests/data/jpeg_files.h"
#include "tests/data/png_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::jpeg_bytes;
using testing::Pixels;
using testing::png_bytes;
using testing::TempDir;

constexpr int kSide = 12;

// Left half 0, right half `bright`.
std::vector<uint8_t> halves(uint8_t bright) {
  std::vector<uint8_t> values;
  for (int i = 0; i < kSide * kSide; ++i) {
    values.insert(values.end(), 3, i % kSide < kSide / 2 ? uint8_t{0} : bright);
  }
  return values;
}

std::string png(uint8_t bright) {
  return png_bytes({.rows = kSide, .cols = kSide, .bytes = halves(bright)});
}

// Two classes of `count` images each, PNG and JPEG in turn.
void write_classes(const TempDir& dir, int count, const std::string& part = "") {
  for (int i = 0; i < count; ++i) {
    const auto bright = static_cast<uint8_t>(100 + i);
    for (const char* name : {"cat", "dog"}) {
      const std::string path = concat(part, name, "/", i);
      if (i % 2 == 0) {
        dir.write(path + ".png", png(bright));
      } else {
        dir.write(path + ".jpg", jpeg_bytes(Pixels{kSide, kSide, 3, halves(bright)}));
      }
    }
  }
}

std::vector<float> pixels_of(const Dataset& data, int64_t index, int64_t step) {
  const std::vector<int64_t> indices = {index};
  return data.collate(indices, step).inputs.to_vector<float>();
}

TEST(FolderDataset, GivesBatchesInImageNetsScale) {
  const TempDir dir;
  write_classes(dir, 1, "train/");
  write_classes(dir, 1, "val/");
  const ImageSplit split = open_images(dir.path(), {.image_size = kSide, .crop_area = 1});
  EXPECT_EQ(split.classes, 2);
  EXPECT_EQ(split.rows, kSide);
  EXPECT_EQ(split.channels, 3);
  EXPECT_EQ(split.changes, "--image-size 12 --crop-area 1");
  const std::vector<int64_t> indices = {1, 0};
  const Batch batch = split.test->collate(indices);
  EXPECT_EQ(batch.inputs.shape(), (Shape{2, kSide, kSide, 3}));
  EXPECT_EQ(batch.targets.to_vector<int64_t>(), (std::vector<int64_t>{1, 0}));
  const std::vector<float> values = batch.inputs.to_vector<float>();
  const double last[] = {(100 / 255.0 - 0.485) / 0.229, (100 / 255.0 - 0.456) / 0.224,
                         (100 / 255.0 - 0.406) / 0.225};
  for (size_t k = 0; k < 3; ++k) EXPECT_NEAR(values[values.size() - 3 + k], last[k], 1e-5);
}

TEST(FolderDataset, ValidationCutsOffAnEighthOfTheSides) {
  const TempDir dir;
  write_classes(dir, 5);
  // 12 pixels become 24, of which the middle 21 are taken.
  const ImageSplit split = open_images(dir.path(), {.image_size = 21});
  const std::vector<float> values = pixels_of(*split.test, 0, Dataset::kUnchanged);
  ASSERT_EQ(values.size(), size_t{21 * 21 * 3});
  // The edge between the halves lies at 24 / 2 - 2, so columns 0 to 8 are dark.
  EXPECT_EQ(values[0], values[8 * 3]);
  EXPECT_NE(values[0], values[11 * 3]);
  EXPECT_EQ(values[20 * 3], values[14 * 3]);
}

TEST(FolderDataset, MirrorsHalfOfTheTrainingImagesByStepAndSample) {
  const TempDir dir;
  write_classes(dir, 5);
  const ImageSplit split =
      open_images(dir.path(), {.image_size = kSide, .crop_area = 1, .mirror = true, .seed = 3});
  const float dark = pixels_of(*split.train, 0, Dataset::kUnchanged)[0];
  int mirrored = 0;
  for (int64_t step = 0; step < 200; ++step) {
    const std::vector<float> pixels = pixels_of(*split.train, 0, step);
    EXPECT_EQ(pixels, pixels_of(*split.train, 0, step));
    if (pixels[0] != dark) {
      ++mirrored;
      EXPECT_EQ(pixels[(kSide - 1) * 3], dark);
    }
  }
  EXPECT_NEAR(mirrored, 100, 30);
  EXPECT_EQ(pixels_of(*split.test, 0, Dataset::kUnchanged)[0], dark);
}

TEST(FolderDataset, AnyNumberOfThreadsSeesTheSameBits) {
  const TempDir dir;
  write_classes(dir, 10);
  const ImageSplit split = open_images(dir.path(), {.image_size = 9, .mirror = true, .seed = 7});
  const auto sampler = std::make_shared<PermutationSampler>(split.train->size(), 5, 1);
  Loader one(split.train, sampler), four(split.train, sampler, {.threads = 4});
  std::vector<float> before;
  for (int step = 0; step < 12; ++step) {
    const Batch expected = *one.next(), batch = *four.next();
    EXPECT_EQ(batch.inputs.to_vector<float>(), expected.inputs.to_vector<float>());
    EXPECT_EQ(batch.targets.to_vector<int64_t>(), expected.targets.to_vector<int64_t>());
    EXPECT_NE(expected.inputs.to_vector<float>(), before);
    before = expected.inputs.to_vector<float>();
  }
}

TEST(FolderDataset, ADamagedFileIsNamedAtItsTurn) {
  const TempDir dir;
  write_classes(dir, 10);
  const std::string damaged = dir.write("dog/3.jpg", jpeg_bytes(testing::flat(8, 8, {1, 2, 3})));
  std::filesystem::resize_file(damaged, 300);
  const ImageSplit split = open_images(dir.path(), {.image_size = 8});
  // Images 0 to 7 are cats, 8 to 15 dogs.
  Loader loader(split.train, std::make_shared<EvenSampler>(16, 16, 4), {.threads = 3});
  EXPECT_TRUE(loader.next());
  EXPECT_TRUE(loader.next());
  EXPECT_THAT(testing::message_of<DataError>([&] { loader.next(); }),
              HasSubstr(damaged + " is damaged"));
}

TEST(FolderDataset, RefusesOptionsThatDoNotApply) {
  const TempDir dir;
  write_classes(dir, 5);
  const auto refusal = [&](const ImageOptions& options) {
    return testing::message_of<InvalidArgument>([&] { open_images(dir.path(), options); });
  };
  EXPECT_THAT(refusal({.crop_padding = 2}), HasSubstr("holds folders of images"));
  EXPECT_THAT(refusal({.crop_area = 2}), HasSubstr("(0, 1], got 2"));
  EXPECT_THAT(refusal({.validation_share = 1}), HasSubstr("between 0 and 1, got 1"));
}

}  // namespace
}  // namespace trireme
