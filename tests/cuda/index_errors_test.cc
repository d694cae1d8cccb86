// A number outside of its range on a device: nobody waits for it, nothing outside is touched, and
// the next wait throws it under the op's name.

#include <gtest/gtest.h>

#include "core/cuda/stream.h"
#include "core/ops/ops.h"
#include "core/tensor/transfer.h"
#include "tests/support/message_of.h"

namespace trireme::testing {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

Tensor ids(const std::vector<int64_t>& values, const Shape& shape) {
  return from_vector(values, shape, kGpu);
}

/// What the wait behind `op` throws.
template <typename Op>
std::string reported(const Op& op) {
  return message_of([&] {
    const Tensor y = op();
    cuda::synchronize(0);
  });
}

TEST(IndexErrorsOnDevice, AreThrownByTheNextWait) {
  const Tensor x = to_device(reshape(arange(6, {DType::kF32}), {3, 2}), kGpu);
  EXPECT_EQ(reported([&] {
              return index_select(x, 0, ids({2, 7}, {2}));
            }),
            "index_select: index 7 at position 1 must be in [0, 3)");
  EXPECT_EQ(reported([&] {
              return gather(x, 1, ids({0, -1}, {1, 2}));
            }),
            "gather: index -1 at position 1 must be in [0, 2)");
  EXPECT_EQ(reported([&] {
              return scatter_add(x, 0, ids({1, 3}, {1, 2}), x);
            }),
            "scatter_add: index 3 at position 1 must be in [0, 3)");
  EXPECT_EQ(reported([&] {
              return one_hot(ids({1, 9}, {2}), 4);
            }),
            "one_hot: index 9 at position 1 must be in [0, 4)");
  EXPECT_EQ(reported([&] { return gather(x, 1, ids({0, 1}, {1, 2})); }), "nothing was thrown");
}

TEST(IndexErrorsOnDevice, LeaveWhatIsInsideRight) {
  const Tensor x = to_device(reshape(arange(6, {DType::kF32}), {3, 2}), kGpu);
  const Tensor taken = index_select(x, 0, ids({2, 7, 1}, {3}));
  const Tensor added = scatter_add(x, 0, ids({1, 9}, {1, 2}), x);
  EXPECT_NE(message_of([] { cuda::synchronize(0); }), "nothing was thrown");
  EXPECT_EQ(taken.to_vector<float>(), (std::vector<float>{4, 5, 0, 1, 2, 3}));
  EXPECT_EQ(added.to_vector<float>(), (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace trireme::testing
