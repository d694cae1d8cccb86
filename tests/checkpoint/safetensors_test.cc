#include "core/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "core/base/error.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"
#include "tests/support/message_of.h"
#include "tests/support/temp_dir.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::StartsWith;
using testing::TempDir;

std::map<std::string, Tensor> by_name(const StateDict& tensors) {
  return {tensors.begin(), tensors.end()};
}

Tensor two_flags() {
  const Tensor flags = zeros({2}, {DType::kBool});
  flags.data<bool>()[0] = true;
  return flags;
}

StateDict some_tensors() {
  return {{"w", from_vector<float>({1.5f, -2, 3, 4, 5, 6}, {2, 3})},
          {"flags", from_vector<uint8_t>({1, 2, 255}, {3})},
          {"b16", from_vector<BFloat16>({BFloat16(1.5f), BFloat16(3e38f), BFloat16(-0.0f)}, {3})},
          {"f16", from_vector<Float16>({Float16(-2.25f), Float16(65504.0f)}, {1, 2})},
          {"d", from_vector<double>({1e300, -0.0}, {2, 1})},
          {"steps", from_vector<int64_t>({-5}, {})},
          {"ids", from_vector<int32_t>({7, -8}, {2})},
          {"mask", two_flags()},
          {"empty", zeros({0, 4})}};
}

TEST(Safetensors, EveryDtypeComesBackAsItWas) {
  const TempDir dir;
  const std::string path = dir / "a.safetensors";
  save_safetensors(path, some_tensors(), {{"format", "pt"}});
  const SafetensorsFile file = load_safetensors(path);
  EXPECT_EQ(file.metadata.at("format"), "pt");
  auto loaded = by_name(file.tensors);
  ASSERT_EQ(loaded.size(), 9u);
  for (const auto& [name, tensor] : some_tensors()) {
    EXPECT_EQ(loaded[name].dtype(), tensor.dtype()) << name;
    EXPECT_EQ(loaded[name].shape(), tensor.shape()) << name;
    EXPECT_EQ(loaded[name].to_vector<double>(), tensor.to_vector<double>()) << name;
  }
}

TEST(Safetensors, FilesAreTheSameForTheSameContent) {
  const TempDir dir;
  StateDict tensors = some_tensors();
  save_safetensors(dir / "a", tensors);
  std::reverse(tensors.begin(), tensors.end());
  save_safetensors(dir / "b", tensors);
  EXPECT_EQ(testing::read_text(dir / "a"), testing::read_text(dir / "b"));
}

TEST(Safetensors, DataStartsAlignedAndWideTypesComeFirst) {
  const TempDir dir;
  save_safetensors(dir / "a", {{"b", zeros({3}, {DType::kU8})}, {"a", ones({1}, {DType::kF64})}});
  const std::string bytes = testing::read_text(dir / "a");
  EXPECT_EQ(bytes.size() % 8, 3u);
  EXPECT_EQ(load_safetensors(dir / "a").tensors[0].first, "a");
  EXPECT_THAT(bytes, HasSubstr(R"("a":{"data_offsets":[0,8],"dtype":"F64","shape":[1]})"));
}

TEST(Safetensors, StridedTensorsAreWrittenDense) {
  const TempDir dir;
  const Tensor x = from_vector<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  save_safetensors(dir / "a", {{"t", views::transpose(x, 0, 1)}});
  const Tensor loaded = load_safetensors(dir / "a").tensors[0].second;
  EXPECT_EQ(loaded.shape(), (Shape{3, 2}));
  EXPECT_THAT(loaded.to_vector<float>(), ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST(Safetensors, NoTensorsAreAFileToo) {
  const TempDir dir;
  save_safetensors(dir / "a", {});
  EXPECT_TRUE(load_safetensors(dir / "a").tensors.empty());
}

TEST(Safetensors, WritingIntoALoadedTensorLeavesTheFileAlone) {
  const TempDir dir;
  save_safetensors(dir / "a", {{"w", ones({4})}});
  const std::string before = testing::read_text(dir / "a");
  load_safetensors(dir / "a").tensors[0].second.data<float>()[0] = 7;
  EXPECT_EQ(testing::read_text(dir / "a"), before);
}

TEST(Safetensors, ReadsAFileOfAnotherWriter) {
  const SafetensorsFile file =
      load_safetensors(std::string(TRIREME_GOLDEN_DIR) + "/other_writer.safetensors");
  EXPECT_EQ(file.metadata.at("source"), "python safetensors");
  auto t = by_name(file.tensors);
  ASSERT_EQ(t.size(), 10u);
  EXPECT_EQ(t["f32"].shape(), (Shape{2, 3}));
  EXPECT_THAT(t["f32"].to_vector<float>(), ElementsAre(1.5f, -2.25f, 3, 0.1f, 1e-30f, 6e4f));
  EXPECT_THAT(t["f64"].to_vector<double>(), ElementsAre(3.141592653589793, -1e300));
  EXPECT_EQ(t["f16"].dtype(), DType::kF16);
  EXPECT_EQ(t["bf16"].dtype(), DType::kBF16);
  EXPECT_THAT(t["f16"].to_vector<float>(),
              ElementsAre(1, -2.5f, 65504, 0x1p-24f, INFINITY));  // 6e-8 rounds to 2^-24
  EXPECT_THAT(t["bf16"].to_vector<float>(), ElementsAre(1, -3, INFINITY, 0x1p-133f));
  EXPECT_THAT(t["i64"].to_vector<int64_t>(), ElementsAre(-1, int64_t{1} << 40));
  EXPECT_EQ(t["i32"].shape(), (Shape{2, 1}));
  EXPECT_THAT(t["i32"].to_vector<int32_t>(), ElementsAre(7, -8));
  EXPECT_THAT(t["u8"].to_vector<uint8_t>(), ElementsAre(0, 255, 3));
  EXPECT_EQ(t["bool"].dtype(), DType::kBool);
  EXPECT_THAT(t["bool"].to_vector<int64_t>(), ElementsAre(1, 0, 1));
  EXPECT_EQ(t["scalar"].rank(), 0);
  EXPECT_EQ(t["scalar"].item(), 2.5);
  EXPECT_EQ(t["empty"].shape(), (Shape{0, 4}));
}

TEST(Safetensors, PythonReadsOurFiles) {
  const TempDir dir;
  if (std::system("python3 -c 'import safetensors.numpy' 2>/dev/null") != 0) {
    GTEST_SKIP() << "python3 has no safetensors and numpy";
  }
  save_safetensors(dir / "a.safetensors", some_tensors(), {{"k", "v"}});
  const std::string script = dir.write("check.py", R"(
import sys
from safetensors import safe_open
f = safe_open(sys.argv[1], 'numpy')
assert f.metadata() == {'k': 'v'}
assert f.get_tensor('w').tolist() == [[1.5, -2, 3], [4, 5, 6]]
assert f.get_tensor('d').tolist() == [[1e300], [-0.0]]
assert f.get_tensor('flags').tolist() == [1, 2, 255]
assert f.get_tensor('ids').tolist() == [7, -8]
assert f.get_tensor('steps').tolist() == -5
assert f.get_tensor('mask').tolist() == [True, False]
assert f.get_tensor('f16').tolist() == [[-2.25, 65504]]
assert f.get_tensor('empty').shape == (0, 4)
)");
  EXPECT_EQ(std::system(("python3 " + script + " " + (dir / "a.safetensors")).c_str()), 0);
}

TEST(Safetensors, RefusesWhatCannotBeWritten) {
  const TempDir dir;
  const auto refused = [&](const StateDict& tensors) {
    return message_of<InvalidArgument>([&] { save_safetensors(dir / "a", tensors); });
  };
  EXPECT_THAT(refused({{"w", ones({1})}, {"w", ones({2})}}), HasSubstr("unique, got w twice"));
  EXPECT_THAT(refused({{"w", Tensor()}}), HasSubstr("tensor w must be defined"));
  EXPECT_THAT(refused({{"__metadata__", ones({1})}}), HasSubstr("__metadata__"));
  EXPECT_THAT(refused({{"\xff\xfe", ones({1})}}), HasSubstr("UTF-8"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  EXPECT_THAT(message_of<IoError>([&] { save_safetensors(dir / "no/a", {}); }),
              AllOf(StartsWith("save_safetensors: cannot create " + dir / "no/a"),
                    HasSubstr("No such file or directory")));
  EXPECT_THAT(message_of<IoError>([&] { load_safetensors(dir / "absent"); }),
              StartsWith("load_safetensors: cannot read " + dir / "absent"));
  EXPECT_THAT(message_of<IoError>([&] { load_safetensors(dir.path()); }),
              HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace trireme
