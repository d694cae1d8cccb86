// Norms under Autocast on the emulated GPU: they read and write 16 bits beside an f32 stream, with
// no kernel but their own, and compute what the CPU does.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/amp/autocast.h"
#include "core/autograd/backward.h"
#include "core/cuda/stream.h"
#include "core/ops/ops.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "tests/cuda/emulator/emulator.h"

namespace trireme::testing {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

struct Setting {
  DType low;
  int64_t cols;
  bool has_mean;
  bool low_first;  // the operand of 16 bits is the first
  bool has_dsum;   // the sum has a gradient of its own
  int64_t rows = 5;
};

struct Results {
  std::vector<Tensor> tensors;  // gradients of the operands and factors, sum, y
  int64_t forward_grids, backward_grids;
};

int64_t grids() {
  cuda::synchronize(0);
  return emulator::grids_run();
}

Results results_on(Device device, const Setting& s) {
  Generator generator(7);
  const auto leaf = [&](const Shape& shape, DType dtype) {
    return to_device(cast(randn(shape, generator), dtype), device).set_requires_grad();
  };
  const Tensor branch = leaf({s.rows, s.cols}, s.low), stream = leaf({s.rows, s.cols}, DType::kF32);
  const Tensor gamma = leaf({s.cols}, DType::kF32), beta = leaf({s.cols}, DType::kF32);
  const Tensor dy = leaf({s.rows, s.cols}, s.low).detach();
  const Tensor dsum = leaf({s.rows, s.cols}, DType::kF32).detach();
  const Tensor &first = s.low_first ? branch : stream, &second = s.low_first ? stream : branch;
  const int64_t start = grids();
  NormalisedSum result;
  {
    const Autocast autocast(s.low);
    result = s.has_mean ? residual_layer_norm(first, second, gamma, beta)
                        : residual_rms_norm(first, second, gamma);
  }
  const int64_t between = grids();
  std::vector<Tensor> inputs{branch, stream, gamma};
  if (s.has_mean) inputs.push_back(beta);
  std::vector<Tensor> tensors =
      s.has_dsum ? grad({result.y, result.sum}, inputs, {.output_gradients = {dy, dsum}})
                 : grad({result.y}, inputs, {.output_gradients = {dy}});
  const int64_t end = grids();
  tensors.push_back(result.sum.detach());
  tensors.push_back(result.y.detach());
  return {std::move(tensors), between - start, end - between};
}

void check(const Setting& s) {
  SCOPED_TRACE(concat(s.low, ", ", s.cols, " columns", s.has_mean ? ", mean" : "",
                      s.low_first ? ", 16 bits first" : "", s.has_dsum ? ", dsum" : ""));
  const Results got = results_on(kGpu, s), want = results_on(Device{}, s);
  EXPECT_EQ(got.forward_grids, 1);
  for (size_t i = 0; i < want.tensors.size(); ++i) {
    ASSERT_EQ(got.tensors[i].dtype(), want.tensors[i].dtype()) << i;
    const bool is_low = want.tensors[i].dtype() == s.low;
    const double tolerance = !is_low ? 2e-5 : s.low == DType::kBF16 ? 8e-3 : 1e-3;
    const auto g = got.tensors[i].to_vector<float>(), w = want.tensors[i].to_vector<float>();
    ASSERT_EQ(g.size(), w.size());
    for (size_t k = 0; k < w.size(); ++k) {
      ASSERT_NEAR(g[k], w[k], tolerance * std::max(1.0f, std::fabs(w[k]))) << i << " at " << k;
    }
  }
}

// Rows in registers of a warp (up to 768 and up to 1024 columns) and of a block, rows too long for
// registers, and rows that start anywhere.
TEST(AutocastNorms, ComputeOnTheGpuWhatTheyDoOnTheCpuWithoutConversions) {
  for (const int64_t cols : {24, 768, 1000, 1600, 5000, 37}) {
    for (const DType low : {DType::kBF16, DType::kF16}) {
      check({low, cols, true, false, true});
      check({low, cols, false, true, false});
    }
  }
}

// One kernel for dx, one that adds up the sums of its blocks.
TEST(AutocastNorms, GoBackwardInTwoKernels) {
  EXPECT_EQ(results_on(kGpu, {DType::kBF16, 64, true, false, true}).backward_grids, 2);
}

// With more rows than groups each group takes several, the next while it works on one.
TEST(AutocastNorms, TakeAnyNumberOfRows) {
  for (const int64_t rows : {1, 2000, 5003}) {
    check({DType::kBF16, 8, true, false, true, rows});
  }
}

}  // namespace
}  // namespace trireme::testing
