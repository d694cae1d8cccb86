#include "tests/golden/golden_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "core/checkpoint/safetensors.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "tests/support/test_device.h"

namespace trireme::testing {
namespace {

using nlohmann::json;

/// Hands out a flat list piece by piece.
class Pieces {
 public:
  explicit Pieces(std::vector<double> values) : values_(std::move(values)) {}
  std::vector<double> next(const Shape& shape) {
    const auto first = values_.begin() + at_;
    at_ += shape.product();
    return {first, values_.begin() + at_};
  }

 private:
  std::vector<double> values_;
  int64_t at_ = 0;
};

Shape shape_of(const json& extents) {
  const auto values = extents.get<std::vector<int64_t>>();
  return Shape(std::span<const int64_t>(values));
}

/// [shape] or [shape, dtype], the first of them at `at`.
GoldenValue described(const json& entry, size_t at) {
  GoldenValue value;
  value.shape = shape_of(entry.at(at));
  if (entry.size() > at + 1) value.dtype = parse_dtype(entry.at(at + 1).get<std::string>());
  return value;
}

Compare parse_compare(const std::string& name) {
  return name == "exact"      ? Compare::kExact
         : name == "relative" ? Compare::kRelative
                              : Compare::kClose;
}

GoldenCase parse_case(const json& entry, Pieces drawn, Pieces computed) {
  GoldenCase result;
  result.name = entry.at("name");
  result.op = entry.at("op");
  result.arguments = entry.at("args");
  for (const json& operand : entry.at("in")) {
    GoldenValue value = described(operand, 1);
    value.name = operand.at(0);
    value.values = drawn.next(value.shape);
    result.operands.push_back(std::move(value));
  }
  for (const json& out : entry.at("out")) {
    GoldenValue value = described(out, 0);
    value.values = computed.next(value.shape);
    result.results.push_back(std::move(value));
  }
  for (size_t i : entry.at("dy")) result.upstream[i] = drawn.next(result.results[i].shape);
  for (const std::string name : entry.at("grad")) {
    const auto operand = std::find_if(result.operands.begin(), result.operands.end(),
                                      [&](const GoldenValue& v) { return v.name == name; });
    result.gradients[name] = computed.next(operand->shape);
  }
  result.slack = entry.value("slack", 1.0);
  result.roundings = entry.value("roundings", 1.0);
  result.more_on_cuda = entry.value("more_on_cuda", 0.0);
  result.compare = parse_compare(entry.value("compare", "close"));
  const std::vector<std::string> all = {"f64", "f32", "bf16", "f16"};
  for (const std::string& dtype : entry.value("dtypes", all)) {
    result.dtypes.push_back(parse_dtype(dtype));
  }
  return result;
}

void load(const std::string& path, std::vector<GoldenCase>& cases) {
  const SafetensorsFile file = load_safetensors(path);
  const auto listed = file.metadata.find("cases");
  if (listed == file.metadata.end()) return;
  std::map<std::string, Tensor> tensors(file.tensors.begin(), file.tensors.end());
  for (const json& entry : json::parse(listed->second)) {
    const std::string name = entry.at("name");
    cases.push_back(parse_case(entry, Pieces(tensors.at(name + ".drawn").to_vector<double>()),
                               Pieces(tensors.at(name + ".computed").to_vector<double>())));
  }
}

double unit_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return 1e-12;
    case DType::kF32:
      return 1e-6;
    case DType::kBF16:
      return 0x1p-8;
    default:
      return 0x1p-11;
  }
}

double bound_of(const GoldenCase& of, DType dtype, GoldenPart part) {
  const bool is_gradient = part == GoldenPart::kGradient;
  const double wide = of.slack * (is_gradient ? 8 : 1);
  if (!is_half_dtype(dtype)) return wide * unit_of(dtype);
  const double more = is_gradient ? 8 : test_device().is_cpu() ? 0 : of.more_on_cuda;
  return (of.roundings + more) * unit_of(dtype) + wide * unit_of(DType::kF32);
}

double smallest_normal(DType dtype) {
  return dtype == DType::kF64   ? std::numeric_limits<double>::min()
         : dtype == DType::kF16 ? 0x1p-14
                                : double(std::numeric_limits<float>::min());
}

}  // namespace

const std::vector<GoldenCase>& golden_cases() {
  static const std::vector<GoldenCase> cases = [] {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(TRIREME_GOLDEN_DIR)) {
      if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    std::vector<GoldenCase> all;
    for (const std::string& path : paths) load(path, all);
    return all;
  }();
  return cases;
}

void expect_golden(const GoldenCase& of, DType dtype, GoldenPart part, const Tensor& got,
                   const Shape& shape, const std::vector<double>& want) {
  ASSERT_TRUE(got.defined());
  ASSERT_EQ(got.shape(), shape);
  const auto values = got.to_vector<double>();
  const double bound = bound_of(of, dtype, part);
  const auto rounded = cast(from_vector(want, shape), got.dtype()).to_vector<double>();
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(rounded[i]) && std::isnan(values[i])) continue;
    if (rounded[i] == values[i]) continue;
    double allowed = 0;
    if (of.compare == Compare::kClose) allowed = bound * std::max(1.0, std::abs(want[i]));
    if (of.compare == Compare::kRelative) {
      allowed = bound * std::abs(want[i]) + smallest_normal(got.dtype());
    }
    if (!is_floating(got.dtype()) || !std::isfinite(rounded[i])) allowed = 0;
    // Also false for a NaN.
    ASSERT_TRUE(std::abs(values[i] - want[i]) <= allowed)
        << "element " << i << " is " << values[i] << ", torch has " << want[i] << " (" << rounded[i]
        << " in " << got.dtype() << "), within " << allowed;
  }
}

}  // namespace trireme::testing
