#include "core/data/token_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/base/error.h"
#include "core/data/text_tree.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::TempDir;

std::vector<int64_t> all_tokens(const TokenSource& source) {
  std::vector<int64_t> tokens(static_cast<size_t>(source.size()));
  source.read(0, tokens);
  return tokens;
}

std::string raw_tokens(const std::vector<uint16_t>& tokens) {
  return {reinterpret_cast<const char*>(tokens.data()), tokens.size() * 2};
}

std::string with_header(const std::vector<uint16_t>& tokens, int32_t magic = 20240520,
                        int32_t version = 1, int32_t count = -1) {
  int32_t header[256] = {magic, version, count == -1 ? static_cast<int32_t>(tokens.size()) : count};
  return std::string(reinterpret_cast<const char*>(header), sizeof(header)) + raw_tokens(tokens);
}

std::vector<uint16_t> counting(uint16_t first, size_t count) {
  std::vector<uint16_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::string refusal(const std::string& path, int64_t vocab_size = 0) {
  return message_of<DataError>([&] { open_tokens(path, vocab_size); });
}

TEST(TokenFiles, TextIsBytesSplitNinetyToTen) {
  const TempDir dir;
  const TokenSplit split = open_tokens(dir.write("input.txt", "0123456789abcdefghi\xff"));
  EXPECT_EQ(split.train.size(), 18);
  EXPECT_EQ(split.train.vocab_size(), 256);
  EXPECT_EQ(all_tokens(split.train)[10], 'a');
  EXPECT_THAT(all_tokens(split.validation), ElementsAre('i', 255));
}

TEST(TokenFiles, ReadsRawAndHeaderedTokens) {
  const TempDir dir;
  for (const std::string& path : {dir.write("a.u16", raw_tokens(counting(50247, 10))),
                                  dir.write("b.bin", raw_tokens(counting(50247, 10))),
                                  dir.write("c.bin", with_header(counting(50247, 10)))}) {
    const TokenSplit split = open_tokens(path);
    EXPECT_EQ(split.train.vocab_size(), kGpt2Vocab);
    EXPECT_THAT(all_tokens(split.train),
                ElementsAre(50247, 50248, 50249, 50250, 50251, 50252, 50253, 50254, 50255))
        << path;
    EXPECT_THAT(all_tokens(split.validation), ElementsAre(50256)) << path;
  }
}

TEST(TokenFiles, JoinsShardsInSortedOrderAndFindsTheValidationShard) {
  const TempDir dir;
  dir.write("corpus_train_2.bin", with_header({3, 4}));
  dir.write("corpus_train_1.bin", with_header({1, 2}));
  dir.write("corpus_val_0.bin", raw_tokens({9}));
  dir.write("notes.txt", "not tokens");
  for (const std::string& path : {dir.path(), dir / "corpus_*.bin"}) {
    const TokenSplit split = open_tokens(path);
    EXPECT_THAT(all_tokens(split.train), ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(all_tokens(split.validation), ElementsAre(9));
  }
  const TokenSplit train_only = open_tokens(dir / "corpus_train_*.bin");
  EXPECT_THAT(all_tokens(train_only.train), ElementsAre(1, 2, 3));
  EXPECT_THAT(all_tokens(train_only.validation), ElementsAre(4));
}

TEST(TokenFiles, ReadsAcrossShardBoundaries) {
  const TempDir dir;
  dir.write("1.u16", raw_tokens(counting(0, 7)));
  dir.write("2.u16", raw_tokens(counting(7, 1)));
  dir.write("3.u16", raw_tokens(counting(8, 92)));
  const TokenSource train = open_tokens(dir.path()).train;
  ASSERT_EQ(train.size(), 90);
  for (int64_t begin = 0; begin < 12; ++begin) {
    std::vector<int64_t> window(5), expected(5);
    std::iota(expected.begin(), expected.end(), begin);
    train.read(begin, window);
    EXPECT_EQ(window, expected);
  }
}

TEST(TokenFiles, ADirectoryOfSourcesIsTheirTextInOrder) {
  const TempDir dir;
  dir.write("b/two.cc", "two.");
  dir.write("a.md", "one.");
  dir.write("z.txt", "three.");
  dir.write("binary.txt", std::string_view("x\0y", 3));
  dir.write("picture.png", "no text extension");
  dir.write(".git/config.txt", "hidden");
  dir.write("build/out.txt", "generated");
  dir.write("runs/1/log.txt", "changes while training");
  std::filesystem::create_directory_symlink(dir.path(), dir / "loop");
  EXPECT_THAT(list_text_files(dir.path()),
              ElementsAre(dir / "a.md", dir / "b/two.cc", dir / "z.txt"));
  const TokenSplit split = open_tokens(dir.path());
  std::string text;
  for (const TokenSource& part : {split.train, split.validation}) {
    for (const int64_t token : all_tokens(part)) text += static_cast<char>(token);
  }
  EXPECT_EQ(text, "one.two.three.");
}

TEST(TokenFiles, NamesATokenOutsideTheVocabulary) {
  const TempDir dir;
  const std::string path = dir.write("a.bin", with_header({1, 2, 3, 70, 5, 6, 7, 8, 80, 9}));
  const TokenSplit split = open_tokens(path, 64);
  std::vector<int64_t> window(3);
  split.train.read(0, window);
  const auto read_at = [&](int64_t position) {
    return message_of<DataError>([&] { split.train.read(position, window); });
  };
  EXPECT_THAT(read_at(2),
              AllOf(HasSubstr("vocabulary size 64, got 70 at position 3"), HasSubstr(path)));
  EXPECT_THAT(read_at(6), HasSubstr("got 80 at position 8"));
  // The position is that in the file, in the validation part too.
  const TokenSplit late =
      open_tokens(dir.write("b.u16", raw_tokens({1, 1, 1, 1, 1, 1, 1, 1, 1, 99})), 50);
  std::vector<int64_t> one(1);
  EXPECT_THAT(message_of<DataError>([&] { late.validation.read(0, one); }),
              HasSubstr("got 99 at position 9"));
}

TEST(TokenFiles, RefusesWhatIsNoData) {
  const TempDir dir;
  EXPECT_THAT(refusal(dir / "nothing.txt"), HasSubstr("nothing.txt does not exist"));
  EXPECT_THAT(refusal(dir / "*.bin"), HasSubstr("no file matches"));
  EXPECT_THAT(refusal(dir.path()), HasSubstr("got neither"));
  EXPECT_THAT(refusal(dir.write("empty.txt", "")), HasSubstr("must not be empty"));
  EXPECT_THAT(refusal(dir.write("empty.bin", "")), HasSubstr("must not be empty"));
  EXPECT_THAT(refusal(dir.write("odd.u16", "abc")), HasSubstr("even number of bytes, got 3"));
  dir.write("mixed/a.bin", raw_tokens({1}));
  dir.write("mixed/a.json", "{}");
  EXPECT_THAT(refusal(dir / "mixed/a.*"), HasSubstr("a.json"));
}

TEST(TokenFiles, RefusesAHeaderThatContradictsTheFile) {
  const TempDir dir;
  const auto refused = [&](const std::string& content) {
    return refusal(dir.write("a.bin", content));
  };
  EXPECT_THAT(refused(with_header({1, 2, 3}, 20240520, 1, 4)),
              HasSubstr("promises 4 tokens of 2 bytes, got 6 bytes"));
  EXPECT_THAT(refused(with_header({1, 2, 3}, 20240520, 7)), HasSubstr("version must be 1, got 7"));
  EXPECT_THAT(refused(with_header({1, 2}, 20240801)), HasSubstr("32-bit tokens"));
  EXPECT_THAT(refused(with_header({1, 2}).substr(0, 100)), HasSubstr("cut off"));
  EXPECT_THAT(refused(with_header({})), HasSubstr("must hold tokens"));
  EXPECT_THAT(refused(with_header({1, 2}, 20240520, 1, -7)), HasSubstr("promises"));
}

TEST(TokenSource, ChecksRangesAndVocabularySize) {
  const TempDir dir;
  const TokenSource source = open_tokens(dir.write("a.txt", "0123456789")).train;
  std::vector<int64_t> window(4);
  EXPECT_THAT(message_of<InvalidArgument>([&] { source.read(6, window); }),
              HasSubstr("[0, 9), got [6, 10)"));
  EXPECT_THROW(source.read(-1, window), InvalidArgument);
  EXPECT_THROW(source.slice(3, 2, "bad"), InvalidArgument);
  EXPECT_THROW(TokenSource("none", {}, 65537), InvalidArgument);
}

}  // namespace
}  // namespace trireme
