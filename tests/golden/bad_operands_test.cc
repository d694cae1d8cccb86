// Bad input to every op: a golden case with one operand or one argument changed. Either the change
// gives a case as good as the other, or the op refuses it by its own name, before it computes.

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <set>

#include "core/tensor/copy.h"
#include "core/tensor/transfer.h"
#include "tests/golden/golden_case.h"
#include "tests/golden/golden_ops.h"
#include "tests/golden/operand_shapes.h"

namespace trireme::testing {
namespace {

constexpr char kNothing[] = "nothing was thrown";

Tensor operand(const GoldenValue& value) {
  const DType dtype = value.dtype == DType::kF64 ? DType::kF32 : value.dtype;
  return to_device(cast(from_vector(value.values, value.shape), dtype), test_device());
}
Tensor zeros_like_operand(const Shape& shape, DType dtype) {
  return zeros(shape, {dtype, test_device()});
}

/// What the case's op says, where `changed` is `to` instead.
std::string outcome(const GoldenCase& of, const std::string& changed = "", const Tensor& to = {}) {
  Operands in(DType::kF32);
  for (const GoldenValue& value : of.operands) in.set(value.name, operand(value));
  if (!changed.empty()) in.set(changed, to);
  try {
    golden_ops().at(of.op)(in, of.arguments);
    return kNothing;
  } catch (const InvalidArgument& error) {
    return error.what();
  } catch (const std::exception& error) {
    return concat("another error, ", error.what());
  }
}

bool is_named(const GoldenCase& of, const std::string& message) {
  // Its golden function adds 0 to the logits first.
  if (of.op == "cross_entropy_inplace" && message.starts_with("add: ")) return true;
  return message.starts_with(of.op + ": ");
}

/// Calls fn(case, operand's description) for every operand of every op; modules make operands.
template <typename Fn>
void for_each_operand(const Fn& fn) {
  ASSERT_FALSE(golden_cases().empty());
  for (const GoldenCase& of : golden_cases()) {
    if (std::isupper(static_cast<unsigned char>(of.op[0]))) continue;
    for (const GoldenValue& value : of.operands) {
      SCOPED_TRACE(concat(of.name, of.arguments.dump(), ", operand ", value.name));
      fn(of, value);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(BadOperands, AnUndefinedOneIsRefusedUnlessItIsOptional) {
  const std::set<std::string> optional = {"gamma",   "beta", "bias",     "h0",        "c0",
                                          "lengths", "mask", "residual", "pos_weight"};
  for_each_operand([&](const GoldenCase& of, const GoldenValue& value) {
    const std::string said = outcome(of, value.name, {});
    const bool is_loss_weight = value.name == "weight" && of.op.find("entropy") != of.op.npos;
    const bool is_summand = value.name == "residual" && of.op.starts_with("residual_");
    const bool may_lack =
        (optional.contains(value.name) && !is_summand && of.op != "masked_fill") ||
        is_loss_weight || (value.name == "weight" && of.op == "nll_loss");
    if (may_lack) {
      EXPECT_EQ(said, kNothing);
      return;
    }
    EXPECT_TRUE(is_named(of, said)) << said;
    // One of a pair that is given together may be missing without being called undefined.
    EXPECT_TRUE(said.find("undefined") != said.npos || said.find(", got ") != said.npos) << said;
  });
}

TEST(BadOperands, OneOfAnotherDtypeIsRefusedBesideOthers) {
  const std::set<std::string> ids = {"index", "ids", "targets", "lengths"};
  for_each_operand([&](const GoldenCase& of, const GoldenValue& value) {
    const Tensor x = operand(value);
    size_t floating = 0;
    for (const GoldenValue& other : of.operands) floating += is_floating(other.dtype);
    // Attention's may be bool or numbers.
    const bool is_mask = value.name == "mask" && of.op != "masked_fill";
    for (DType dtype : {DType::kF64, DType::kF32, DType::kI64, DType::kI32, DType::kBool}) {
      if (dtype == x.dtype()) continue;
      const std::string said = outcome(of, value.name, zeros_like_operand(x.shape(), dtype));
      const bool is_id = x.dtype() == DType::kI64 && ids.contains(value.name);
      const bool fits = is_id     ? dtype == DType::kI32
                        : is_mask ? dtype == DType::kBool || dtype == DType::kF32
                                  : floating < 2 && is_floating(x.dtype());
      if (said == kNothing) {
        EXPECT_TRUE(fits || of.operands.size() == 1) << "took " << dtype;
        continue;
      }
      EXPECT_TRUE(is_named(of, said)) << said;
      EXPECT_NE(said.find(concat(dtype)), said.npos) << said;
    }
  });
}

TEST(BadOperands, OneOfAnotherShapeFitsOrIsRefused) {
  if (!test_device().is_cpu()) {
    GTEST_SKIP()
        << "fewer rows put an index out of range, which a GPU refuses by the next wait only";
  }
  for_each_operand([&](const GoldenCase& of, const GoldenValue& value) {
    ASSERT_TRUE(shapes_agree(of, value.name, value.shape)) << "the table of operand_shapes.cc errs";
    std::vector<std::vector<int64_t>> shapes;
    const std::vector<int64_t> shape(value.shape.begin(), value.shape.end());
    for (size_t d = 0; d < shape.size(); ++d) {
      shapes.push_back(shape);
      ++shapes.back()[d];
      if (shape[d] == 0) continue;
      shapes.push_back(shape);
      --shapes.back()[d];
    }
    if (!shape.empty()) shapes.emplace_back(shape.begin() + 1, shape.end());
    shapes.push_back(shape);
    shapes.back().insert(shapes.back().begin(), 2);
    for (const auto& other : shapes) {
      const Shape changed{std::span<const int64_t>(other)};
      const std::string said =
          outcome(of, value.name, zeros_like_operand(changed, operand(value).dtype()));
      if (said == kNothing) {
        EXPECT_TRUE(shapes_agree(of, value.name, changed)) << "took " << changed;
        continue;
      }
      EXPECT_TRUE(is_named(of, said)) << changed << ": " << said;
      EXPECT_NE(said.find_first_of("0123456789["), said.npos) << changed << ": " << said;
    }
  });
}

/// Numbers that may be anything.
bool is_free(const std::string& op, const std::string& argument) {
  static const std::set<std::string> free = {"value",    "alpha",        "exponent",  "slope",
                                             "diagonal", "ignore_index", "low",       "high",
                                             "scale",    "threshold",    "correction"};
  return free.contains(argument) || (op == "addmm" && argument == "beta") ||
         (op == "pad" && argument == "padding");
}

TEST(BadArguments, NumbersOutOfRangeAreRefused) {
  for (const GoldenCase& of : golden_cases()) {
    if (std::isupper(static_cast<unsigned char>(of.op[0]))) continue;
    for (const auto& [name, value] : of.arguments.items()) {
      SCOPED_TRACE(concat(of.name, of.arguments.dump(), ", ", name));
      // `must`: the change must be refused.
      const auto check = [&, &name = name](const Arguments& to, bool must) {
        GoldenCase changed = of;
        changed.arguments[name] = to;
        const std::string said = outcome(changed);
        if (said == kNothing) {
          EXPECT_FALSE(must) << to;
        } else {
          EXPECT_TRUE(is_named(of, said)) << to << ": " << said;
        }
      };
      for (int64_t number : {-99, -1, 0, 99}) {
        const bool must = number == -99 && !is_free(of.op, name);
        if (value.is_number()) check(number, must);
        for (size_t i = 0; value.is_array() && i < value.size(); ++i) {
          Arguments changed = value;
          changed[i] = number;
          check(changed, must);
        }
      }
      if (value.is_number_float()) check(NAN, !is_free(of.op, name));
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace trireme::testing
