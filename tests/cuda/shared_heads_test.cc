// Heads of queries that share heads of keys, on the emulated GPU: one graph of cuDNN computes them
// all, and every n-th head is computed by itself where it has none.

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "core/tensor/view.h"
#include "tests/kernels/cudnn_mock.h"

namespace trireme::testing {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

/// A packed projection [2, time, 4 heads of queries, 2 of keys, 2 of values] of 16 channels each.
struct Result {
  std::vector<float> y, dqkv;
};
Result results_on(Device device, DType dtype, int64_t time, const std::function<void()>& between) {
  Generator generator(3);
  const Tensor values = randn({2, time, 128}, generator), factors = randn({2, time, 64}, generator);
  const Tensor qkv = to_device(to(values, dtype), device).set_requires_grad();
  const Tensor y = scaled_dot_product_attention_qkv(qkv, 4, {.causal = true}, 2);
  between();
  backward(sum(y * to_device(to(factors, dtype), device)));
  return {to(y.detach(), DType::kF32).to_vector<float>(),
          to(qkv.grad(), DType::kF32).to_vector<float>()};
}

void expect_near(const std::vector<float>& got, const std::vector<float>& want, float bound) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], bound) << i;
}
void expect_as_on_cpu(const Result& got, DType dtype, int64_t time) {
  const Result want = results_on(Device{}, dtype, time, [] {});
  const float bound = dtype == DType::kBF16 ? 0.04F : 0.005F;
  expect_near(got.y, want.y, bound);
  expect_near(got.dqkv, want.dqkv, bound);
}
size_t graphs_run() { return CudnnMock::state().executed.size(); }

TEST(SharedHeads, AreOneGraphForwardAndOneBackward) {
  for (DType dtype : {DType::kBF16, DType::kF16}) {
    const size_t before = graphs_run();
    size_t forward = 0;
    const Result got = results_on(kGpu, dtype, 6, [&] { forward = graphs_run() - before; });
    EXPECT_EQ(forward, 1U);
    EXPECT_EQ(graphs_run() - before, 2U);
    expect_as_on_cpu(got, dtype, 6);
  }
}

TEST(SharedHeads, OfFewerKeysAreAnotherGraph) {
  Generator generator(3);
  const Tensor qkv = to_device(to(randn({1, 4, 128}, generator), DType::kBF16), kGpu);
  // The strides of both are the same.
  const auto heads = [&](int64_t count) {
    return views::as_strided(qkv, {1, count, 4, 16}, {512, 16, 128, 1}, 0);
  };
  const Tensor shared = scaled_dot_product_attention(heads(4), heads(2), heads(2));
  const Tensor one = scaled_dot_product_attention(heads(4), heads(1), heads(1));
  const Tensor first_of_shared = views::slice(shared, 1, 0, 2), rest = views::slice(one, 1, 2, 4);
  expect_near(to(views::slice(one, 1, 0, 2), DType::kF32).to_vector<float>(),
              to(first_of_shared, DType::kF32).to_vector<float>(), 0);
  EXPECT_NE(to(rest, DType::kF32).to_vector<float>(),
            to(views::slice(shared, 1, 2, 4), DType::kF32).to_vector<float>());
}

TEST(SharedHeads, AreComputedByThemselvesWhereCudnnHasNoKernel) {
  bool& supports = CudnnMock::state().supports;
  const size_t before = graphs_run();
  // Forward and backward; backward alone, which finds one row of statistics per head.
  supports = false;
  expect_as_on_cpu(results_on(kGpu, DType::kBF16, 7, [] {}), DType::kBF16, 7);
  EXPECT_EQ(graphs_run() - before, 0U);
  supports = true;
  expect_as_on_cpu(results_on(kGpu, DType::kBF16, 5, [&] { supports = false; }), DType::kBF16, 5);
  supports = true;
  EXPECT_EQ(graphs_run() - before, 1U);
}

// Every 2nd head by itself: each graph then has as many heads of keys as of queries.
TEST(SharedHeads, OfOneQueryAreAGraphForEveryNth) {
  const size_t before = graphs_run();
  size_t forward = 0;
  const Result got = results_on(kGpu, DType::kBF16, 1, [&] { forward = graphs_run() - before; });
  EXPECT_EQ(forward, 2U);
  EXPECT_EQ(graphs_run() - before, 4U);
  expect_as_on_cpu(got, DType::kBF16, 1);
}

// A causal mask hides nothing from it, so that cuDNN's, which begins at the first key, is not asked
// for.
TEST(SharedHeads, OneQueryIsTheLibrarysThoughCausalAndOfManyKeys) {
  Generator generator(3);
  const Tensor q = to(randn({2, 2, 1, 16}, generator), DType::kBF16);
  const Tensor k = to(randn({2, 2, 5, 16}, generator), DType::kBF16);
  const auto on = [&](Device device) {
    const Tensor keys = to_device(k, device);
    return to(scaled_dot_product_attention(to_device(q, device), keys, keys, {.causal = true}),
              DType::kF32)
        .to_vector<float>();
  };
  const size_t before = graphs_run();
  expect_near(on(kGpu), on(Device{}), 0.04F);
  EXPECT_EQ(graphs_run() - before, 1U);
}

}  // namespace
}  // namespace trireme::testing
