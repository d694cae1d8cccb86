// Every op and every module against PyTorch: values and gradients in every dtype, of operands that
// are contiguous and of operands that are not.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "core/autograd/backward.h"
#include "core/ops/autocast_table.h"
#include "core/tensor/copy.h"
#include "core/tensor/transfer.h"
#include "tests/golden/golden_case.h"
#include "tests/golden/golden_ops.h"
#include "tests/support/strided.h"

namespace trireme::testing {
namespace {

/// What has no golden values, and why. Everything else must have some.
const std::map<std::string, std::string> kNoCounterpart = {
    {"dropout", "its mask comes from Trireme's own generator; op_cases_network.cc has its row"},
    {"Dropout", "as dropout"},
    {"Convolution", "the base of the four convolutions"},
    {"RecurrentLayers", "the base of Lstm, Gru and Rnn"},
    {"ModuleList", "computes nothing"},
};

enum class Layout { kDense, kStrided };
enum class Ids { kI64, kI32 };

struct Variant {
  DType dtype;
  Layout layout = Layout::kDense;
  Ids ids = Ids::kI64;
};

Tensor operand(const GoldenValue& value, const Variant& as) {
  DType dtype = value.dtype == DType::kF64 ? as.dtype : value.dtype;
  if (dtype == DType::kI64 && as.ids == Ids::kI32) dtype = DType::kI32;
  const Tensor dense =
      to_device(cast(from_vector(value.values, value.shape), dtype), test_device());
  return as.layout == Layout::kStrided ? transposed_copy(dense) : clone_detached(dense);
}

void expect_gradients(const GoldenCase& of, DType dtype, const Operands& in, const Tensors& got) {
  Tensors results, upstream, leaves;
  for (const auto& [i, dy] : of.upstream) {
    ASSERT_TRUE(got[i].requires_grad()) << "result " << i;
    results.push_back(got[i]);
    upstream.push_back(
        to_device(cast(from_vector(dy, got[i].shape()), got[i].dtype()), test_device()));
  }
  for (const auto& [name, want] : of.gradients) leaves.push_back(in[name]);
  Tensors gradients;
  if (results.size() == 1) {
    backward(results[0], {.gradient = upstream[0]});
    for (const Tensor& leaf : leaves) gradients.push_back(leaf.grad());
  } else {
    gradients = grad(results, leaves, {.output_gradients = upstream});
  }
  size_t i = 0;
  for (const auto& [name, want] : of.gradients) {
    SCOPED_TRACE("gradient of " + name);
    expect_golden(of, dtype, GoldenPart::kGradient, gradients[i++], in[name].shape(), want);
  }
}

void run(const GoldenCase& of, const Variant& as) {
  SCOPED_TRACE(concat(of.name, of.arguments.dump(), " in ", as.dtype,
                      as.layout == Layout::kStrided ? ", strided" : "",
                      as.ids == Ids::kI32 ? ", i32 ids" : ""));
  Operands in(as.dtype);
  for (const GoldenValue& value : of.operands) {
    Tensor x = operand(value, as);
    if (of.gradients.contains(value.name)) x.set_requires_grad();
    in.set(value.name, x);
  }
  const Tensors got = golden_ops().at(of.op)(in, of.arguments);
  ASSERT_EQ(got.size(), of.results.size());
  for (size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE(concat("result ", i));
    const GoldenValue& want = of.results[i];
    expect_golden(of, as.dtype, GoldenPart::kResult, got[i], want.shape, want.values);
  }
  if (!of.upstream.empty()) expect_gradients(of, as.dtype, in, got);
}

bool has_operand_of(const GoldenCase& of, DType dtype) {
  for (const GoldenValue& value : of.operands) {
    if (value.dtype == dtype) return true;
  }
  return false;
}

std::set<std::string> ops_with_cases() {
  std::set<std::string> ops;
  for (const GoldenCase& of : golden_cases()) ops.insert(of.op);
  return ops;
}

class Golden : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Torch, Golden, ::testing::ValuesIn(ops_with_cases()),
                         [](const auto& instance) { return instance.param; });

TEST_P(Golden, IsWhatTorchHas) {
  ASSERT_TRUE(golden_ops().contains(GetParam())) << "no function in golden_ops.h's table";
  for (const GoldenCase& of : golden_cases()) {
    if (of.op != GetParam()) continue;
    for (DType dtype : of.dtypes) {
      // Without such an operand all dtypes are the same.
      if (!has_operand_of(of, DType::kF64) && dtype != of.dtypes[0]) continue;
      run(of, {dtype});
      if (!is_half_dtype(dtype)) run(of, {dtype, Layout::kStrided});
    }
    if (has_operand_of(of, DType::kI64)) run(of, {of.dtypes[0], Layout::kDense, Ids::kI32});
  }
}

/// The names of all ops, and of all classes of modules that core/nn declares.
std::set<std::string> ops_and_modules() {
  std::set<std::string> names;
  for (const detail::OpPrecision& row : detail::kAutocastTable) names.emplace(row.op);
  static const std::regex declaration(R"(\nclass ([A-Za-z0-9]+) : public)");
  for (const auto& entry : std::filesystem::directory_iterator(TRIREME_SOURCE_DIR "/core/nn")) {
    if (entry.path().extension() != ".h") continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const std::string header = text.str();
    for (std::sregex_iterator it(header.begin(), header.end(), declaration), end; it != end; ++it) {
      names.insert((*it)[1]);
    }
  }
  return names;
}

TEST(GoldenTable, HasEveryOpAndModule) {
  std::set<std::string> covered = ops_with_cases(), called;
  for (const auto& [name, op] : golden_ops()) called.insert(name);
  EXPECT_EQ(covered, called) << "cases of make.py against functions in golden_ops.h's table";
  for (const auto& [name, reason] : kNoCounterpart) {
    EXPECT_TRUE(covered.insert(name).second) << name << " has golden values after all";
  }
  EXPECT_EQ(covered, ops_and_modules());
}

}  // namespace
}  // namespace trireme::testing
