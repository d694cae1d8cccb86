#include "core/checkpoint/safetensors_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/checkpoint/safetensors.h"
#include "core/tensor/create.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using testing::TempDir;

/// Two files with a and b in the first, c in the second; returns the path of an index.
std::string write_parts(const TempDir& dir, const std::string& index) {
  save_safetensors(dir / "one.safetensors", {{"a", full({2}, 1)}, {"b", full({3}, 2)}});
  save_safetensors(dir / "two.safetensors", {{"c", full({1, 2}, 3)}});
  return dir.write("model.safetensors.index.json", index);
}

constexpr char kIndex[] = R"({"metadata": {"total_size": 28}, "weight_map": {
  "a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}})";

TEST(LoadWeights, GathersWhatAnIndexLists) {
  const TempDir dir;
  const StateDict weights = load_weights(write_parts(dir, kIndex));
  ASSERT_EQ(weights.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(weights[i].first, std::string(1, static_cast<char>('a' + i)));
    EXPECT_EQ(weights[i].second.to_vector<float>().at(1), static_cast<float>(i + 1));
  }
}

TEST(LoadWeights, ReadsASingleFile) {
  const TempDir dir;
  write_parts(dir, kIndex);
  EXPECT_EQ(load_weights(dir / "two.safetensors").front().first, "c");
}

TEST(LoadWeights, NamesWhatIsWrongWithAnIndex) {
  const TempDir dir;
  const auto message = [&](const std::string& index) {
    const std::string path = write_parts(dir, index);
    return message_of<DataError>([&] { load_weights(path); });
  };
  EXPECT_THAT(message("{"), HasSubstr("an index must hold an object weight_map, got none in "));
  EXPECT_THAT(message(R"({"weight_map": 3})"), HasSubstr("an object weight_map"));
  EXPECT_THAT(message(R"({"weight_map": {"c": "one.safetensors"}})"),
              AllOf(HasSubstr("load_weights: c must be in "), HasSubstr("one.safetensors")));
  EXPECT_THAT(message(R"({"weight_map": {"c": "../two.safetensors"}})"),
              HasSubstr("the file of c must lie beside the index, got \"../two.safetensors\""));
  EXPECT_THAT(message(R"({"weight_map": {"c": 2}})"), HasSubstr("got 2 in "));
  EXPECT_THAT(message(R"({"weight_map": {"c": "three.safetensors"}})"),
              HasSubstr("three.safetensors"));
}

}  // namespace
}  // namespace trireme
