// Sorts of more keys than a block's round takes, which the op table has none of: places must be the
// CPU's, ties included.

#include "core/ops/ops.h"
#include "core/tensor/transfer.h"
#include "tests/gpu/gpu_test.h"

namespace trireme::testing {
namespace {

class GpuSorts : public GpuTest {};

TEST_F(GpuSorts, OfManyKeysEqualTheCpus) {
  Generator generator(5);
  // Few values, so that many are equal.
  const Tensor x = cast(rand({3, 20000}, generator) * 250.0, DType::kU8);
  const Tensor there = to_device(x, gpu());
  EXPECT_EQ(argsort(there).to_vector<int64_t>(), argsort(x).to_vector<int64_t>());
  EXPECT_EQ(argsort(there, 1, Order::kDescending).to_vector<int64_t>(),
            argsort(x, 1, Order::kDescending).to_vector<int64_t>());
}

TEST_F(GpuSorts, MakeSumsThatDoNotDependOnTheDevice) {
  Generator generator(6);
  const Tensor src = cast(randn({40000}, generator) * 100.0, DType::kI64);
  const Tensor index = cast(rand({40000}, generator) * 9000.0, DType::kI64),
               zero = zeros({9000}, {DType::kI64});
  const Tensor there =
      scatter_add(to_device(zero, gpu()), 0, to_device(index, gpu()), to_device(src, gpu()));
  EXPECT_EQ(there.to_vector<int64_t>(), scatter_add(zero, 0, index, src).to_vector<int64_t>());
}

}  // namespace
}  // namespace trireme::testing
