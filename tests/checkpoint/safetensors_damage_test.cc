// Files that lie: every wrong header is one error that names the file, and never a crash.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/checkpoint/safetensors.h"
#include "core/tensor/create.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using testing::TempDir;

std::string with_length(const std::string& header, const std::string& data, uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

std::string refusal(const std::string& bytes) {
  const TempDir dir;
  const std::string path = dir.write("bad.safetensors", bytes);
  const std::string message = message_of<DataError>([&] { load_safetensors(path); });
  EXPECT_THAT(message, HasSubstr(path));
  return message;
}

std::string refused_header(const std::string& header, const std::string& data = "") {
  return refusal(with_length(header, data, header.size()));
}

// One f32[2] tensor `w`, with one part of its entry replaced.
std::string refused_entry(const std::string& entry, const std::string& data = "12345678") {
  return refused_header("{\"w\":" + entry + "}", data);
}

TEST(SafetensorsDamage, EveryTruncationIsAnError) {
  const TempDir dir;
  save_safetensors(dir / "a", {{"w", ones({2, 2})}, {"n", ones({3}, {DType::kI64})}});
  const std::string whole = testing::read_text(dir / "a");
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::string path = dir.write("cut", whole.substr(0, length));
    EXPECT_THROW(load_safetensors(path), DataError) << length << " of " << whole.size();
  }
  EXPECT_THROW(load_safetensors(dir.write("long", whole + "x")), DataError);
}

// Any single changed byte gives either a file that is still well-formed or a DataError.
TEST(SafetensorsDamage, RandomChangesNeverCrash) {
  const TempDir dir;
  save_safetensors(dir / "a", {{"w", ones({2, 2})}, {"b", ones({5}, {DType::kU8})}},
                   {{"key", "value"}});
  const std::string whole = testing::read_text(dir / "a");
  Generator random(1);
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = whole;
    for (uint64_t n = random.next_below(3) + 1; n > 0; --n) {
      bytes[random.next_below(bytes.size())] = static_cast<char>(random.next_below(256));
    }
    const std::string path = dir.write("changed", bytes);
    try {
      for (const auto& [name, tensor] : load_safetensors(path).tensors) tensor.to_vector<double>();
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(SafetensorsDamage, HeaderLengthIsLimited) {
  EXPECT_THAT(refusal(with_length("{}", "", 100'000'001)), HasSubstr("must not exceed 100000000"));
  EXPECT_THAT(refusal(with_length("{}", "", UINT64_MAX)), HasSubstr("must not exceed"));
  EXPECT_THAT(refusal(with_length("{}", "", 3)), HasSubstr("takes 3 bytes, got 2"));
}

TEST(SafetensorsDamage, HeaderMustBeAnObject) {
  EXPECT_THAT(refused_header("[]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(refused_header("{\"w\":"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(refused_header(std::string(100000, '[')), HasSubstr("must be a JSON object"));
  const std::string brackets(100000, '[');
  EXPECT_THAT(refused_header("{\"w\":{\"shape\":" + brackets), HasSubstr("got more levels"));
  EXPECT_THAT(refused_header("{\"w\":{\"shape\":[{}]}}"), HasSubstr("got more levels"));
  EXPECT_THAT(refused_header(R"({"__metadata__":[]})"), HasSubstr("__metadata__"));
  EXPECT_THAT(refused_header(R"({"__metadata__":{"a":1}})"), HasSubstr("text only, see a"));
}

// Most memory that a file of 10 MB with this header takes, in MiB, in a process of its own.
int64_t peak_mib(const std::string& header) {
  const TempDir dir;
  const std::string path = dir.write("bad", with_length(header, "", header.size()));
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      load_safetensors(path);
    } catch (const DataError&) {
    }
    ::_exit(0);
  }
  rusage before = {}, usage = {};
  ::getrusage(RUSAGE_SELF, &before);
  int status = 0;
  ::wait4(child, &status, 0, &usage);
  EXPECT_EQ(status, 0);
  return (usage.ru_maxrss - before.ru_maxrss) >> 10;
}

TEST(SafetensorsDamage, NestingCostsNoMemory) {
  // The header itself is mapped, which counts too.
  EXPECT_LT(peak_mib(std::string(10'000'000, '[')), 100);
  EXPECT_LT(peak_mib("{\"w\":{\"shape\":" + std::string(10'000'000, '[')), 100);
}

// Work that grows by the square of the number of tensors would exceed the limit of any test here.
TEST(SafetensorsDamage, ManyEntriesTakeTimeByTheirNumber) {
  std::string header = "{";
  for (int i = 0; i < 600'000; ++i) header += "\"" + std::to_string(i) + "\":{},";
  header.back() = '}';
  EXPECT_THAT(refused_header(header), HasSubstr("must have a dtype"));
}

TEST(SafetensorsDamage, EntriesAreChecked) {
  EXPECT_THAT(refused_entry("5"), HasSubstr("tensor w must have a dtype"));
  EXPECT_THAT(refused_entry(R"({"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]})"),
              HasSubstr("tensor w must be F64, F32, F16, BF16, I64, I32, U8 or BOOL, got F8_E4M3"));
  EXPECT_THAT(refused_entry(R"({"dtype":"F32","data_offsets":[0,8]})"),
              HasSubstr("shape of tensor w"));
  EXPECT_THAT(refused_entry(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"),
              HasSubstr("shape of tensor w must be a list of whole numbers"));
  EXPECT_THAT(refused_entry(R"({"dtype":"F32","shape":[2.5],"data_offsets":[0,8]})"),
              HasSubstr("whole numbers"));
  EXPECT_THAT(refused_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"),
              HasSubstr("[begin, end] in order"));
  EXPECT_THAT(refused_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4,8]})"),
              HasSubstr("[begin, end] in order"));
  EXPECT_THAT(refused_entry(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"),
              HasSubstr("tensor w of type F32 and shape [3] takes 12 bytes, got 8"));
  EXPECT_THAT(refused_entry(R"({"dtype":"U8","shape":[1,1,1,1,1,1,1,1,8],"data_offsets":[0,8]})"),
              HasSubstr("at most 8 dimensions, got 9"));
  EXPECT_THAT(
      refused_entry(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"),
      HasSubstr("shape of tensor w overflows"));
  EXPECT_THAT(
      refused_entry(R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,8]})"),
      HasSubstr("shape of tensor w overflows"));
}

TEST(SafetensorsDamage, TensorsMustFillTheDataExactly) {
  const auto two = [](const std::string& offsets_a, const std::string& offsets_b) {
    const std::string u8 = R"({"dtype":"U8","shape":[4],"data_offsets":)";
    return refused_header("{\"a\":" + u8 + offsets_a + "},\"b\":" + u8 + offsets_b + "}}",
                          "12345678");
  };
  EXPECT_THAT(two("[0,4]", "[2,6]"), HasSubstr("tensor b must start at byte 4"));
  EXPECT_THAT(two("[0,4]", "[5,9]"), HasSubstr("tensor b must start at byte 4"));
  EXPECT_THAT(two("[1,5]", "[5,9]"), HasSubstr("tensor a must start at byte 0"));
  EXPECT_THAT(refused_entry(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})"),
              HasSubstr("describes 4 bytes of data, got 8"));
  EXPECT_THAT(refused_entry(R"({"dtype":"U8","shape":[9],"data_offsets":[0,9]})"),
              HasSubstr("describes 9 bytes of data, got 8"));
}

TEST(SafetensorsDamage, ANameMayAppearOnlyOnce) {
  const std::string entry = R"("w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]})";
  EXPECT_THAT(refused_header("{" + entry + "," + entry + "}", "12345678"),
              HasSubstr("unique, got w twice"));
}

TEST(SafetensorsDamage, UnalignedDataIsReadAllTheSame) {
  const TempDir dir;
  // Two padding bytes too few: f32 data then starts at an odd offset.
  const std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const float value = 2.5f;
  std::string data(4, '\0');
  std::memcpy(data.data(), &value, 4);
  for (size_t padding = 0; padding < 8; ++padding) {
    const std::string padded = header + std::string(padding, ' ');
    const std::string path = dir.write("odd", with_length(padded, data, padded.size()));
    EXPECT_EQ(load_safetensors(path).tensors[0].second.item(), 2.5);
  }
}

TEST(SafetensorsDamage, StrangeBoolsBecomeTrue) {
  const TempDir dir;
  const std::string header = R"({"w":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})";
  const std::string path =
      dir.write("b", with_length(header, std::string("\x00\x02\xff", 3), header.size()));
  EXPECT_EQ(load_safetensors(path).tensors[0].second.to_vector<int64_t>(),
            (std::vector<int64_t>{0, 1, 1}));
}

}  // namespace
}  // namespace trireme
