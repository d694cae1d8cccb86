// Operands on two devices: every row of the op table refuses them, by name, before anything runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/autograd/backward.h"
#include "core/autograd/gradient_slot.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "tests/cuda/emulator/emulator.h"
#include "tests/ops/op_cases.h"
#include "tests/support/message_of.h"

namespace trireme::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Device kGpu{DeviceType::kCuda, 0};

/// Operands of a row, each on its device; operand `moved` on the other one.
Tensors operands(const OpCase& row, size_t moved, Device others, Device its) {
  Tensors tensors;
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    const OpInput& input = row.inputs[i];
    const Tensor x =
        full(input.shape, input.low, {input.dtype.value_or(row.dtypes.front()), Device{}});
    tensors.push_back(to_device(x, i == moved ? its : others));
  }
  return tensors;
}

/// Rows that copy an operand or make running statistics before they call their op.
bool runs_kernels_of_its_own(const OpCase& row) {
  return row.name.starts_with("cross_entropy_inplace") || row.name.ends_with("running");
}

class OpOnTwoDevices : public ::testing::TestWithParam<OpCase> {};

TEST_P(OpOnTwoDevices, IsRefusedByName) {
  const OpCase& row = GetParam();
  for (size_t moved = 0; moved < row.inputs.size(); ++moved) {
    for (const bool to_gpu : {true, false}) {
      const Device its = to_gpu ? kGpu : Device{}, others = to_gpu ? Device{} : kGpu;
      const Tensors in = operands(row, moved, others, its);
      const int64_t before = emulator::grids_run();
      const std::string message = message_of([&] { row.op(in); });
      EXPECT_THAT(message, AllOf(HasSubstr("on cpu"), HasSubstr("on cuda:0")))
          << "operand " << moved << " of " << row.name;
      const std::string op = message.substr(0, message.find(':'));
      const std::string attention = row.name.starts_with("attention_qkv")
                                        ? "scaled_dot_product_attention_qkv"
                                        : "scaled_dot_product_attention";
      EXPECT_TRUE(row.name.starts_with("attention") ? op == attention : row.name.starts_with(op))
          << row.name << " says '" << message << "'";
      if (runs_kernels_of_its_own(row)) continue;
      EXPECT_EQ(emulator::grids_run(), before) << row.name;
    }
  }
}

std::vector<OpCase> rows_of_several_operands() {
  std::vector<OpCase> rows = all_cases();
  std::erase_if(rows, [](const OpCase& row) { return row.inputs.size() < 2; });
  return rows;
}
INSTANTIATE_TEST_SUITE_P(Table, OpOnTwoDevices, ::testing::ValuesIn(rows_of_several_operands()),
                         [](const auto& row) { return row.param.name; });

TEST(TwoDevices, GradientsMustLieWhereTheirTensorsDo) {
  const Tensor x = ones({2}).set_requires_grad();
  const Tensor there = ones({2}, {DType::kF32, kGpu});
  const auto both = AllOf(HasSubstr("on cpu"), HasSubstr("on cuda:0"));
  EXPECT_THAT(message_of([&] { backward(x * 2.0, {.gradient = there}); }), both);
  EXPECT_THAT(message_of([&] { set_gradient(x, there); }), both);
  GradientSlot slot(x);
  EXPECT_THAT(message_of([&] { slot.set(there); }), both);
  const auto hook = register_hook(x, [&](const Tensor&) { return there; });
  EXPECT_THAT(message_of([&] { backward(sum(x)); }), both);
}

TEST(TwoDevices, InPlaceOpsRefuseThem) {
  const Tensor x = ones({2}), there = ones({2}, {DType::kF32, kGpu});
  EXPECT_THAT(message_of([&] { add_inplace(x, there, 1); }),
              AllOf(HasSubstr("add_inplace"), HasSubstr("on cpu"), HasSubstr("on cuda:0")));
}

}  // namespace
}  // namespace trireme::testing
