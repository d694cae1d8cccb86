// Convolutions where cuDNN has no kernel: windows are gathered and multiplied, in every direction,
// and the results are the CPU's.

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "core/autograd/backward.h"
#include "core/cuda/stream.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"
#include "core/tensor/transfer.h"
#include "tests/kernels/cudnn_mock.h"
#include "tests/ops/op_harness.h"

namespace trireme::testing {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

using Op = std::function<Tensor(const Tensors& in)>;

/// The result of `op`, and the gradients of sum(y^2), with respect to waves of these shapes.
Tensors results(const Op& op, const Shapes& shapes, DType dtype, Device device) {
  Tensors in;
  for (const Shape& shape : shapes) {
    const Tensor wave =
        sin(arange(shape.product(), {DType::kF64}) * (1.1 + static_cast<double>(in.size())));
    in.push_back(to_device(cast(reshape(wave, shape), dtype), device).set_requires_grad());
  }
  Tensors all{op(in)};
  for (const Tensor& d : grad({sum(square(all[0]))}, in)) all.push_back(d);
  return all;
}

void expect_like_the_cpu(const Op& op, const Shapes& shapes) {
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-11}, {DType::kF32, 1e-4}}) {
    const size_t before = CudnnMock::state().executed.size();
    const Tensors got = results(op, shapes, dtype, kGpu);
    EXPECT_EQ(CudnnMock::state().executed.size(), before);
    const Tensors want = results(op, shapes, dtype, Device{});
    for (size_t i = 0; i < want.size(); ++i) {
      expect_close(got[i], to_array(want[i]), tolerance, concat("result ", i, " in ", dtype));
    }
  }
}

TEST(GatheredConvolutions, EqualTheCpus) {
  CudnnMock::state().supports = false;
  // A thread has a library of its own, which has not met these shapes.
  std::thread([] {
    expect_like_the_cpu(
        [](const Tensors& in) {
          return conv2d(in[0], in[1], in[2],
                        {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2});
        },
        {{2, 5, 4, 4}, {6, 3, 2, 2}, {6}});
    expect_like_the_cpu(
        [](const Tensors& in) {
          return conv_transpose2d(
              in[0], in[1], in[2],
              {.stride = {2, 3}, .padding = {1, 0}, .output_padding = {1, 2}, .groups = 2});
        },
        {{2, 3, 2, 4}, {4, 3, 2, 3}, {6}});
    cuda::synchronize(0);
  }).join();
  CudnnMock::state().supports = true;
}

}  // namespace
}  // namespace trireme::testing
