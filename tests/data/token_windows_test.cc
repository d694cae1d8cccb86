#include "core/data/token_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/token_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;

TEST(TokenWindows, TargetsAreTheInputsShiftedByOne) {
  const TempDir dir;
  const TokenWindows windows(open_tokens(dir.write("a.txt", "abcdefghijk")).train, 3);
  EXPECT_EQ(windows.size(), 6);  // 9 tokens of training text
  EXPECT_EQ(windows.pass_size(), 2);
  const std::vector<int64_t> indices = {5, 0};
  const Batch batch = windows.collate(indices);
  EXPECT_EQ(batch.inputs.shape(), (Shape{2, 3}));
  EXPECT_EQ(batch.samples, 2);
  EXPECT_EQ(batch.tokens, 6);
  EXPECT_THAT(batch.inputs.to_vector<int64_t>(), ElementsAre('f', 'g', 'h', 'a', 'b', 'c'));
  EXPECT_THAT(batch.targets.to_vector<int64_t>(), ElementsAre('g', 'h', 'i', 'b', 'c', 'd'));
}

TEST(TokenWindows, NoIndicesGiveAnEmptyBatch) {
  const TempDir dir;
  const TokenWindows windows(open_tokens(dir.write("a.txt", "abcdefghijk")).train, 3);
  const Batch batch = windows.collate({});
  EXPECT_EQ(batch.samples, 0);
  EXPECT_FALSE(batch.inputs.defined());
}

TEST(TokenWindows, RefusesAContextLongerThanTheData) {
  const TempDir dir;
  const TokenSplit split = open_tokens(dir.write("a.txt", "abcdefghijk"));
  EXPECT_EQ(TokenWindows(split.train, 8).size(), 1);
  const std::string message = testing::message_of<DataError>([&] { TokenWindows(split.train, 9); });
  EXPECT_THAT(message, HasSubstr("context 9 needs at least 10 tokens, got 9 in "));
  EXPECT_THAT(message, HasSubstr("first 90 %"));
  EXPECT_THROW(TokenWindows(split.train, 0), InvalidArgument);
}

}  // namespace
}  // namespace trireme
