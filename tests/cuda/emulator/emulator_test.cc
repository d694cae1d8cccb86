// The emulator itself, on kernels small enough to know what they must do.

#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "kernels/cuda/launch_kernel.cuh"
#include "tests/cuda/fake_device.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using kernels::Geometry;
using kernels::launch;
using ::testing::HasSubstr;
using testing::message_of;

class Emulator : public ::testing::Test {
 protected:
  ~Emulator() override { emulator::set_order(emulator::Order::kForward); }
  testing::FakeDeviceGuard fake_;
  Cuda device_{nullptr, 0};
};

__global__ void count_kernel(int* counts) {
  ++counts[blockIdx.x * blockDim.x + threadIdx.x];
  counts[gridDim.x * blockDim.x] = static_cast<int>(gridDim.x * blockDim.x);
}

TEST_F(Emulator, RunsEveryThreadOfEveryBlockOnce) {
  std::vector<int> counts(3 * 70 + 1);
  launch("count", device_, count_kernel, Geometry{.blocks = 3, .threads = 70}, counts.data());
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end() - 1, 0), 210);
  EXPECT_EQ(counts.back(), 210);
}

// Each thread's number from the other end of the block, through shared memory.
template <bool kWaits>
__global__ void reverse_kernel(int* out) {
  __shared__ int all[96];
  all[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (kWaits) __syncthreads();
  out[threadIdx.x] = all[blockDim.x - 1 - threadIdx.x];
}

TEST_F(Emulator, BarriersOrderWhatABlockShares) {
  for (const auto order : {emulator::Order::kForward, emulator::Order::kBackward}) {
    emulator::set_order(order);
    std::vector<int> out(96);
    launch("reverse", device_, reverse_kernel<true>, Geometry{.threads = 96}, out.data());
    for (int i = 0; i < 96; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], 95 - i);
  }
}

TEST_F(Emulator, AMissingBarrierShowsInOneOrderOrTheOther) {
  std::vector<int> forward(96), backward(96);
  launch("reverse", device_, reverse_kernel<false>, Geometry{.threads = 96}, forward.data());
  emulator::set_order(emulator::Order::kBackward);
  launch("reverse", device_, reverse_kernel<false>, Geometry{.threads = 96}, backward.data());
  std::vector<int> right(96);
  for (int i = 0; i < 96; ++i) right[static_cast<size_t>(i)] = 95 - i;
  EXPECT_FALSE(forward == right && backward == right);
}

__global__ void warp_sum_kernel(int* sums) {
  int sum = static_cast<int>(threadIdx.x);
  for (int mask = 16; mask > 0; mask /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, mask);
  sums[threadIdx.x] = sum;
}

TEST_F(Emulator, WarpsExchangeValues) {
  std::vector<int> sums(64);
  launch("warp_sum", device_, warp_sum_kernel, Geometry{.threads = 64}, sums.data());
  for (int i = 0; i < 64; ++i) EXPECT_EQ(sums[static_cast<size_t>(i)], i < 32 ? 496 : 1520) << i;
}

__global__ void divergent_kernel() {
  if (threadIdx.x == 0) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}

TEST_F(Emulator, ABarrierThatCannotOpenIsAnError) {
  const Cuda device = device_;
  const std::function<void()> run = [device] {
    launch("divergent", device, divergent_kernel, Geometry{.threads = 32});
  };
  EXPECT_THAT(message_of<Error>(run),
              HasSubstr("divergent: threads of a block wait at barriers that cannot open"));
}

}  // namespace
}  // namespace trireme
