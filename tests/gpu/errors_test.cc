// What goes wrong on a device is one message that names the op.

#include <gmock/gmock.h>

#include "core/base/device_tag.h"
#include "core/ops/ops.h"
#include "kernels/embedding.h"
#include "tests/gpu/gpu_test.h"
#include "tests/support/message_of.h"

namespace trireme::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class GpuErrors : public GpuTest {};

/// Waits for what is queued, and throws what went wrong in it.
void wait(Device device) { zeros({}, {DType::kF32, device}).item(); }

TEST_F(GpuErrors, TwoDevicesInOneOpAreNamed) {
  const Tensor here = ones({3}), there = ones({3}, {DType::kF32, gpu()});
  EXPECT_THAT(message_of<Error>([&] { here + there; }),
              AllOf(HasSubstr("add: devices differ"), HasSubstr("cpu"), HasSubstr("cuda:0")));
}

TEST_F(GpuErrors, ARowOutsideItsTableIsFoundByTheKernel) {
  const Tensor table = ones({10, 8}, {DType::kF32, gpu()});
  const Tensor ids = from_vector<int64_t>({1, 2, 9, 12, 0}, {5}, gpu());
  EXPECT_THAT(message_of<Error>([&] {
                embedding(table, ids);
                wait(gpu());
              }),
              HasSubstr("embedding: index 12 at position 3 must be in [0, 10)"));
  embedding(table, from_vector<int64_t>({9}, {1}, gpu()));
  EXPECT_NO_THROW(wait(gpu())) << "it is said once";
}

TEST_F(GpuErrors, AClassThatIsNoneIsFoundByTheKernel) {
  const Tensor logits = ones({4, 10}, {DType::kF32, gpu()});
  const Tensor targets = from_vector<int64_t>({1, 10, 2, 3}, {4}, gpu());
  EXPECT_THAT(message_of<Error>([&] {
                cross_entropy(logits, targets);
                wait(gpu());
              }),
              AllOf(HasSubstr("cross_entropy"), HasSubstr("10 at position 1")));
}

// Nothing is touched before the sizes are looked at, so no memory of such a size is needed.
TEST_F(GpuErrors, MoreRowsThanAreNumberedAreRefusedByEmbeddingsGradient) {
  const auto refused = [&](int64_t tokens, int64_t rows) {
    return message_of<Error>([&] {
      on_device(gpu(), [&](auto device) {
        kernels::embedding_backward<float, int64_t>(device, {nullptr, tokens, 1, 1}, nullptr,
                                                    {nullptr, rows, 1, 1});
      });
    });
  };
  EXPECT_THAT(refused(int64_t{1} << 31, 4),
              AllOf(HasSubstr("embedding backward: needs fewer than 2^31 addends"),
                    HasSubstr("got 2147483648 and 4")));
  EXPECT_THAT(refused(4, int64_t{1} << 32), HasSubstr("got 4 and 4294967296"));
}

TEST_F(GpuErrors, OutOfMemoryShowsTheRequestAndLeavesTheDeviceUsable) {
  constexpr int64_t kMoreThanAny = int64_t{1} << 44;
  EXPECT_THAT(message_of<Error>([&] {
                empty({kMoreThanAny}, {DType::kU8, gpu()});
              }),
              AllOf(HasSubstr("out of memory on cuda:0"), HasSubstr("17592186044416 bytes"),
                    HasSubstr("device free"), HasSubstr("largest block to be had"),
                    HasSubstr("use a smaller batch")));
  EXPECT_EQ(ones({3}, {DType::kF32, gpu()}).to_vector<float>(), std::vector<float>(3, 1));
}

TEST_F(GpuErrors, ADeviceThatIsNotThereIsRefused) {
  EXPECT_THAT(message_of<Error>([] {
                zeros({1}, {DType::kF32, {DeviceType::kCuda, 63}});
              }),
              HasSubstr("there is no device cuda:63"));
}

// A context in which a kernel has faulted is of no use any more, so this runs in a process of its
// own: with TRIREME_SYNC_DEBUG=1, which is also what lets the error name the op.
TEST_F(GpuErrors, AFaultNamesItsOp) {
  if (!std::getenv("TRIREME_SYNC_DEBUG")) {
    GTEST_SKIP() << "skipped: breaks the process's device; run alone with TRIREME_SYNC_DEBUG=1";
  }
  const Tensor x = ones({4}, {DType::kF32, gpu()});
  constexpr int64_t kFarAway = int64_t{1} << 40;
  const Tensor outside(x.storage(), kFarAway, {4}, {1}, DType::kF32);
  EXPECT_THAT(message_of<Error>([&] { exp(outside); }),
              HasSubstr("exp: its work on the device failed"));
}

}  // namespace
}  // namespace trireme::testing
