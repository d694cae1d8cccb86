// Cross entropy in place of rows that wait in shared memory: more rows than blocks give what the
// CPU computes, and the same every time.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/ops/ops.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "tests/gpu/api_calls.h"
#include "tests/gpu/gpu_test.h"

namespace trireme::testing {
namespace {

constexpr int64_t kVocabulary = 8200, kClasses = 8195, kRows = 700;

struct Result {
  std::vector<float> loss, gradient;
};
Result results_on(Device device) {
  Generator generator(11);
  const Tensor values = to(randn({kRows, kVocabulary}, generator) * 3.0, DType::kBF16);
  std::vector<int64_t> ids;
  for (int64_t r = 0; r < kRows; ++r) ids.push_back(r % 9 == 4 ? -100 : r * 1171 % kClasses);
  const Tensor targets = to_device(from_vector<int64_t>(ids, {kRows}), device);
  const Tensor logits = to_device(values, device).set_requires_grad() * 1.0;
  const Tensor loss = cross_entropy_inplace(logits, targets, -100, kClasses);
  return {to(loss.detach(), DType::kF32).to_vector<float>(),
          to(logits.detach(), DType::kF32).to_vector<float>()};
}

class GpuLargeVocabulary : public GpuTest {};
TEST_F(GpuLargeVocabulary, RowsInSharedMemoryGiveWhatTheCpuGives) {
  const Result got = [] {
    const ApiCalls calls;
    const Result result = results_on(gpu());
    EXPECT_GT(calls.attributes(), 0) << "no row was staged";
    return result;
  }();
  const Result again = results_on(gpu());
  const Result want = results_on(Device{});
  EXPECT_NEAR(got.loss[0], want.loss[0], 1e-5F * want.loss[0]);
  ASSERT_EQ(got.gradient.size(), want.gradient.size());
  // Where the CPU rounds up and the GPU down they differ by a unit in the last place.
  for (size_t i = 0; i < want.gradient.size(); ++i) {
    ASSERT_NEAR(got.gradient[i], want.gradient[i], 0x1p-7F * std::abs(want.gradient[i])) << i;
  }
  EXPECT_EQ(got.loss, again.loss);
  EXPECT_EQ(got.gradient, again.gradient);
}

}  // namespace
}  // namespace trireme::testing
