#include "core/base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "core/base/error.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using testing::TempDir;

TEST(MappedFile, AWrongPathIsTheCallersData) {
  const TempDir dir;
  const auto refused = [](const std::string& path) {
    return message_of<DataError>([&] { MappedFile file(path); });
  };
  EXPECT_THAT(refused(dir / "absent"), HasSubstr("absent, No such file or directory"));
  EXPECT_THAT(refused(dir.path()), HasSubstr("not a regular file"));
  EXPECT_THAT(refused(dir.write("file", "x") + "/below"), HasSubstr("Not a directory"));
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refused(dir / "pipe"), HasSubstr("not a regular file")) << "and does not wait";
}

TEST(FailToRead, TellsAWrongPathFromASystemInTrouble) {
  EXPECT_THAT(message_of<DataError>([] { fail_to_read("op", "path", EACCES); }),
              HasSubstr("op: cannot read path, Permission denied"));
  EXPECT_THROW(
      {
        try {
          fail_to_read("op", "path", EMFILE);
        } catch (const DataError&) {
        }
      },
      IoError);
}

}  // namespace
}  // namespace trireme
