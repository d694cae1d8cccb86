// Tensors on the fake device: where their bytes go, who waits, what is refused.

#include "core/tensor/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "core/autograd/backward.h"
#include "core/cuda/stream.h"
#include "core/nn/layers.h"
#include "core/ops/ops.h"
#include "core/tensor/transfer.h"
#include "core/tensor/view.h"
#include "tests/cuda/fake_device.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using testing::fake;
using testing::FakeDeviceGuard;
using ::testing::HasSubstr;

constexpr Device kGpu{DeviceType::kCuda, 0};

TEST(CudaTensor, GoesThereAndBackWaitingOnce) {
  FakeDeviceGuard guard;
  const int64_t syncs = cuda::sync_count();
  const Tensor x = from_vector<float>({1, 2, 3}, {3}, kGpu);
  EXPECT_EQ(x.device(), kGpu);
  EXPECT_EQ(cuda::sync_count(), syncs);
  EXPECT_THAT(x.to_vector<float>(), ElementsAre(1, 2, 3));
  EXPECT_EQ(cuda::sync_count(), syncs + 1);
}

TEST(CudaTensor, ItsSourceMayChangeAtOnce) {
  FakeDeviceGuard guard;
  Tensor source = from_vector<float>({1, 2}, {2});
  const Tensor x = to_device(source, kGpu);
  fill_inplace(source, 9);
  EXPECT_THAT(x.to_vector<float>(), ElementsAre(1, 2));
}

TEST(CudaTensor, ATransposedSourceArrivesInItsOwnOrder) {
  FakeDeviceGuard guard;
  const Tensor x = from_vector<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor y = to_device(views::transpose(x, 0, 1), kGpu);
  EXPECT_THAT(y.to_vector<float>(), ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST(CudaTensor, CopyInplaceCrossesDevicesBroadcastsAndConverts) {
  FakeDeviceGuard guard;
  const Tensor x = empty({2, 2}, {DType::kF32, kGpu});
  copy_inplace(x, from_vector<int64_t>({7, 8}, {2}));
  EXPECT_THAT(x.to_vector<float>(), ElementsAre(7, 8, 7, 8));
  const Tensor back = zeros({2, 2});
  copy_inplace(views::transpose(back, 0, 1), x);
  EXPECT_THAT(back.to_vector<float>(), ElementsAre(7, 7, 8, 8));
}

TEST(CudaTensor, GradientsFlowBackThroughTo) {
  FakeDeviceGuard guard;
  Tensor x = from_vector<float>({1, 2}, {2}).set_requires_grad();
  const Tensor y = to(x, kGpu);
  backward(y, {.gradient = from_vector<float>({3, 4}, {2}, kGpu)});
  EXPECT_EQ(x.grad().device(), Device{});
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(3, 4));
}

TEST(CudaTensor, ItsMemoryIsCountedOnItsDevice) {
  FakeDeviceGuard guard;
  const int64_t before = memory_stats(kGpu).total_allocated_bytes;
  const int64_t cpu = memory_stats(Device{}).total_allocated_bytes;
  const Tensor x = empty({1 << 20}, {DType::kF32, kGpu});
  EXPECT_EQ(memory_stats(kGpu).total_allocated_bytes, before + (4 << 20));
  EXPECT_LT(memory_stats(Device{}).total_allocated_bytes, cpu + (1 << 20));
}

TEST(CudaTensor, PrintsWithItsDevice) {
  FakeDeviceGuard guard;
  std::ostringstream out;
  out << from_vector<float>({1, 2}, {2}, kGpu);
  EXPECT_EQ(out.str(), "Tensor f32[2] cuda:0 {1, 2}");
}

TEST(CudaTensor, MixedDevicesAreOneMessage) {
  FakeDeviceGuard guard;
  const Tensor x = ones({2}), y = empty({2}, {DType::kF32, kGpu});
  try {
    add(x, y);
    FAIL() << "nothing was thrown";
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), HasSubstr("add: devices differ, lhs is on cpu but rhs is on cuda:0"));
  }
  EXPECT_THROW(accumulate_inplace(y, x), InvalidArgument);
  const Tensor weight = ones({2, 2});
  EXPECT_THAT(
      testing::message_of([&] { linear(to_device(weight, kGpu), weight); }),
      HasSubstr("linear: devices differ, the first operand is on cuda:0 but weight is on cpu"));
  EXPECT_THAT(testing::message_of([&] { where(equal(x, x), y, y); }),
              HasSubstr("where: devices differ, the first operand is on cuda:0 but condition"));
}

TEST(CudaTensor, AFillLaunchesOneKernelAndDoesNotWait) {
  FakeDeviceGuard guard;
  const int64_t syncs = cuda::sync_count();
  const Tensor x = zeros({1000}, {DType::kBF16, kGpu});
  EXPECT_EQ(fake().call_count("launch_kernel"), 1);
  EXPECT_EQ(cuda::sync_count(), syncs);
}

TEST(CudaTensor, ARefusedLaunchNamesTheOp) {
  FakeDeviceGuard guard;
  const Tensor x = empty({1000}, {DType::kF32, kGpu});
  fake().fail_next["launch_kernel"] = cudaErrorInvalidConfiguration;
  try {
    fill_inplace(x, 1);
    FAIL() << "nothing was thrown";
  } catch (const CudaError& error) {
    EXPECT_THAT(error.what(), HasSubstr("fill: "));
  }
}

TEST(DelayedScalar, IsReadLateWithoutACountedWait) {
  FakeDeviceGuard guard;
  DelayedScalar loss;
  EXPECT_FALSE(loss.is_set());
  EXPECT_THROW(loss.get(), InvalidArgument);
  const int64_t syncs = cuda::sync_count();
  loss.set(from_vector<float>({2.5f}, {1}, kGpu));
  EXPECT_EQ(loss.get(), 2.5);
  loss.set(from_vector<double>({4}, {1}));
  EXPECT_EQ(loss.get(), 4);
  EXPECT_EQ(cuda::sync_count(), syncs);
}

TEST(ModuleTo, MovesParametersUnderAllTheirHandles) {
  FakeDeviceGuard guard;
  Generator generator(1);
  Linear layer(2, 3, generator);
  const auto before = layer.named_parameters();
  const std::vector<float> weight = before[0].second.to_vector<float>();
  layer.to(kGpu);
  for (const auto& [name, p] : before) {
    EXPECT_EQ(p.device(), kGpu) << name;
    EXPECT_TRUE(p.requires_grad()) << name;
    EXPECT_EQ(p.autograd_meta()->is_leaf(), true);
  }
  EXPECT_EQ(before[0].second.to_vector<float>(), weight);
  layer.to(Device{});
  EXPECT_EQ(before[0].second.device(), Device{});
  EXPECT_EQ(before[0].second.to_vector<float>(), weight);
}

}  // namespace
}  // namespace trireme
