// Gradients of gradients, for every row of the op table.

#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/autograd/gradcheck.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "tests/ops/op_harness.h"
#include "tests/support/message_of.h"

namespace trireme::testing {
namespace {

// Gradients of the sum of all gradients: of the inputs, then of dy. Zero where nothing depends.
Tensors second_gradients(const OpCase& row, const Tensors& in, const Tensor& dy) {
  Tensors wanted;
  for (const Tensor& x : in) {
    if (x.requires_grad()) wanted.push_back(x);
  }
  const Tensor y = row.op(in);
  const Tensor upstream = cast(dy, y.dtype()).set_requires_grad();
  const Tensors first = grad({y}, wanted, {.output_gradients = {upstream}, .create_graph = true});
  wanted.push_back(upstream);
  Tensors ones;
  for (const Tensor& d : first) ones.push_back(ones_like(d));
  Tensors second = grad(first, wanted, {.output_gradients = ones, .allow_unused = true});
  for (size_t i = 0; i < second.size(); ++i) {
    if (!second[i].defined()) second[i] = zeros_like(wanted[i]);
  }
  return second;
}

}  // namespace

void check_second_gradient(const OpCase& row) {
  const Tensors in = draw_leaves(row);
  if (row.differentiable_once.empty() && !test_device().is_cpu()) {
    const Tensors got = second_gradients(row, in, draw_dy(row, in));
    Tensors on_cpu;
    for (const Tensor& x : in) {
      on_cpu.push_back(to_device(x, Device{}).detach());
      if (x.requires_grad()) on_cpu.back().set_requires_grad();
    }
    const Tensors want = second_gradients(row, on_cpu, to_device(draw_dy(row, in), Device{}));
    for (size_t i = 0; i < want.size(); ++i) {
      constexpr double kTolerance = 1e-10;  // sums of first gradients, in another order
      expect_close(got[i], to_array(want[i]), kTolerance,
                   concat(row.name, ": second gradient ", i, " against the CPU's"));
    }
    return;
  }
  if (row.differentiable_once.empty()) {
    EXPECT_NO_THROW(gradgradcheck(row.op, in)) << row.name;
    return;
  }
  Tensors wanted;
  for (const Tensor& x : in) {
    if (x.requires_grad()) wanted.push_back(x);
  }
  const Tensor y = row.op(in);
  const Tensors first =
      grad({y}, wanted, {.output_gradients = {ones_like(y)}, .create_graph = true});
  const std::string message =
      message_of([&] { grad({first[0]}, wanted, {.output_gradients = {ones_like(first[0])}}); });
  EXPECT_NE(message.find(row.differentiable_once + ": its gradient cannot be differentiated again"),
            std::string::npos)
      << row.name << " says \"" << message << '"';
}

}  // namespace trireme::testing
