#include "core/data/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/data/idx_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::idx_bytes;
using testing::message_of;
using testing::TempDir;

TEST(Idx, ReadsPlainAndCompressedFiles) {
  const TempDir dir;
  const std::string bytes = idx_bytes({2, 1, 3}, "\x01\x02\x03\x04\x05\xff");
  const std::string plain = dir.write("plain", bytes), packed = dir / "packed.gz";
  testing::write_gzip(packed, bytes);
  for (const std::string& path : {plain, packed}) {
    const IdxArray array = read_idx(path);
    EXPECT_THAT(array.dims, ElementsAre(2, 1, 3));
    EXPECT_THAT(array.values, ElementsAre(1, 2, 3, 4, 5, 255));
  }
}

TEST(Idx, RefusesWrongFiles) {
  const TempDir dir;
  const auto refused = [&](const std::string& content) {
    return message_of<DataError>([&] { read_idx(dir.write("bad", content)); });
  };
  EXPECT_THAT(refused(""), HasSubstr("must not be empty"));
  EXPECT_THAT(refused("PNG, no IDX"), HasSubstr("starts with the bytes 0 0 type rank, got 80"));
  EXPECT_THAT(refused(idx_bytes({1}, "\x01", 0x0D)),
              HasSubstr("unsigned bytes (type 8), got type 13"));
  EXPECT_THAT(refused(idx_bytes({3}, "ab")), HasSubstr("promises 3 elements, got 2"));
  EXPECT_THAT(refused(idx_bytes({3}, "abcd")), HasSubstr("promises 3 elements, got more"));
  EXPECT_THAT(refused(idx_bytes({0x7fffffff, 0x7fffffff, 2}, "abcd")), HasSubstr("got 4"));
  EXPECT_THAT(message_of<IoError>([&] { read_idx(dir / "absent"); }), HasSubstr("absent"));
}

TEST(Idx, EveryTruncationIsAnError) {
  const TempDir dir;
  const std::string plain = idx_bytes({2, 2, 2}, "abcdefgh"), packed_path = dir / "whole.gz";
  testing::write_gzip(packed_path, plain);
  for (const std::string& whole : {plain, testing::read_text(packed_path)}) {
    for (size_t length = 0; length < whole.size(); ++length) {
      const std::string path = dir.write("cut", whole.substr(0, length));
      EXPECT_THROW(read_idx(path), DataError) << length << " of " << whole.size() << " bytes";
    }
  }
}

TEST(Idx, NoticesDamagedCompression) {
  const TempDir dir;
  const std::string path = dir / "a.gz";
  testing::write_gzip(path, idx_bytes({1000}, std::string(1000, 'x')));
  std::string bytes = testing::read_text(path);
  bytes[bytes.size() - 6] = static_cast<char>(bytes[bytes.size() - 6] ^ 0x55);  // the checksum
  EXPECT_THAT(message_of<DataError>([&] { read_idx(dir.write("b.gz", bytes)); }),
              HasSubstr("is damaged"));
}

}  // namespace
}  // namespace trireme
