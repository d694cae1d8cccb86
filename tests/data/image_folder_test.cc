#include "core/data/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;

// Only names count here.
void write_all(const TempDir& dir, std::initializer_list<const char*> names) {
  for (const char* name : names) dir.write(name, "");
}

std::string refusal(const TempDir& dir) {
  return testing::message_of<DataError>([&] { list_image_folders(dir.path(), 0.2); });
}

TEST(ImageFolder, PartsKeepTheirFilesAndClassesAreSorted) {
  const TempDir dir;
  write_all(dir, {"train/dog/b.png", "train/dog/a.JPEG", "train/Cat/x/y.jpg", "val/dog/1.png",
                  "test/dog/2.png", "train/dog/notes.txt", "train/dog/.hidden.png",
                  "train/.cache/c.png", "readme.md"});
  std::filesystem::create_symlink(dir / "val/dog/1.png", dir / "train/Cat/link.png");
  const ImageFolders folders = list_image_folders(dir.path(), 0.2);
  EXPECT_THAT(folders.classes, ElementsAre("Cat", "dog"));
  EXPECT_THAT(folders.train.files,
              ElementsAre("Cat/link.png", "Cat/x/y.jpg", "dog/a.JPEG", "dog/b.png"));
  EXPECT_THAT(folders.train.labels, ElementsAre(0, 0, 1, 1));
  EXPECT_EQ(folders.train.path(3), dir / "train/dog/b.png");
  // val comes before test; a class that it lacks is none of its images.
  EXPECT_THAT(folders.test.files, ElementsAre("dog/1.png"));
  EXPECT_THAT(folders.test.labels, ElementsAre(1));
}

TEST(ImageFolder, OneFolderIsSplitClassByClass) {
  const TempDir dir;
  write_all(dir, {"a/1.png", "a/2.png", "a/3.png", "a/4.png", "a/5.png", "b/1.png", "c/1.png",
                  "c/2.png", "c/3.png"});
  const ImageFolders folders = list_image_folders(dir.path(), 0.2);
  EXPECT_THAT(folders.train.files, ElementsAre("a/1.png", "a/2.png", "a/3.png", "a/4.png",
                                               "b/1.png", "c/1.png", "c/2.png"));
  EXPECT_THAT(folders.test.files, ElementsAre("a/5.png", "c/3.png"));
  EXPECT_THAT(folders.test.labels, ElementsAre(0, 2));
  EXPECT_THAT(list_image_folders(dir.path(), 0.5).test.files,
              ElementsAre("a/3.png", "a/4.png", "a/5.png", "c/2.png", "c/3.png"));
}

TEST(ImageFolder, RefusesWhatIsNotThisLayout) {
  const TempDir dir;
  write_all(dir, {"train/a/1.png"});
  EXPECT_THAT(refusal(dir), HasSubstr("beside train a folder val, validation or test"));
  write_all(dir, {"val/a/1.png"});
  EXPECT_THAT(refusal(dir), HasSubstr("at least two folders, one per class, are needed, got 1"));
  write_all(dir, {"train/b/1.png", "val/c/1.png"});
  EXPECT_THAT(refusal(dir), HasSubstr("those of the training part, got " + (dir / "val/c")));
  std::filesystem::remove_all(dir / "val/c");
  write_all(dir, {"train/c/1.txt"});
  EXPECT_THAT(refusal(dir), HasSubstr("got none in " + (dir / "train/c")));
  write_all(dir, {"train/c/1.webp"});
  EXPECT_THAT(refusal(dir), HasSubstr((dir / "train/c/1.webp") + "; convert it"));
  EXPECT_THAT(testing::message_of<DataError>([&] { list_image_folders(dir / "absent", 0.2); }),
              HasSubstr("absent, No such file or directory"));
}

TEST(ImageFolder, KnowsWhetherThereAreFolders) {
  const TempDir dir;
  write_all(dir, {"a.png", ".hidden/a.png"});
  EXPECT_FALSE(has_folders(dir.path()));
  EXPECT_FALSE(has_folders(dir / "absent"));
  write_all(dir, {"cat/a.png"});
  EXPECT_TRUE(has_folders(dir.path()));
}

}  // namespace
}  // namespace trireme
