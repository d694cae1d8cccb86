// Ranks as threads of one process, a GPU each, over NCCL. Skips with fewer than two GPUs.

#include <gtest/gtest.h>

#include "core/autograd/backward.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "core/models/gpt.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "distributed/ddp.h"
#include "distributed/run_ranks.h"
#include "tests/gpu/gpu_test.h"

namespace trireme::testing {
namespace {

constexpr int kRanks = 2;
constexpr int64_t kSequences = 4, kContext = 8;

Gpt tiny_gpt() {
  Generator generator(1);
  return Gpt({.vocab_size = 31, .context = kContext, .layers = 2, .heads = 2, .dim = 32},
             generator);
}

/// Token ids of sequences [first, first + count) of a batch that is always the same.
Tensor sequences(int64_t first, int64_t count, Device device) {
  std::vector<int64_t> ids;
  for (int64_t i = first * kContext; i < (first + count) * kContext; ++i) ids.push_back(i * i % 31);
  return from_vector(ids, {count, kContext}, device);
}

enum class Steps { kOneByOne, kReplayed };

/// Losses of five steps of this rank's share of the batch; replayed: all but the first two.
std::vector<double> train(Communicator& comm, Steps how = Steps::kOneByOne) {
  Gpt model = tiny_gpt();
  model.to(comm.device());
  DistributedDataParallel ddp(model, comm);
  AdamW optimizer({{model.named_parameters(), {}}}, {.lr = 1e-2});
  const int64_t share = kSequences / comm.world_size();
  const Tensor ids = sequences(comm.rank() * share, share, comm.device());
  if (how == Steps::kReplayed) optimizer.keep_schedule_on_device();
  Tensor loss;
  const auto train_once = [&] {
    loss = model.loss(ids, ids);
    ddp.backward(loss);
    optimizer.step();
    optimizer.zero_grad();
  };
  std::unique_ptr<cuda::Graph> graph;
  std::vector<double> losses;
  for (int step = 0; step < 5; ++step) {
    if (how == Steps::kReplayed && step == 2)
      graph = cuda::capture(comm.device().index, train_once);
    graph ? graph->replay() : train_once();
    losses.push_back(loss.item());
  }
  ddp.check_replicas();
  return losses;
}

class GpuRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    try {
      devices = cuda::device_count();
    } catch (const CudaError& error) {
      GTEST_SKIP() << error.what();
    }
    if (devices < kRanks) GTEST_SKIP() << "skipped: needs " << kRanks << " GPUs, found " << devices;
  }
};

std::vector<std::vector<double>> train_in_parts(Steps how) {
  std::vector<std::vector<double>> parts(kRanks);
  run_ranks(kRanks, DeviceType::kCuda, [&](Communicator& comm) {
    parts[static_cast<size_t>(comm.rank())] = train(comm, how);
  });
  return parts;
}

TEST_F(GpuRanks, ThreadsTrainAsOneGpuWithTheWholeBatch) {
  std::vector<double> whole;
  run_ranks(1, DeviceType::kCuda, [&](Communicator& comm) { whole = train(comm); });
  const auto parts = train_in_parts(Steps::kOneByOne);
  for (size_t step = 0; step < whole.size(); ++step) {
    EXPECT_NEAR((parts[0][step] + parts[1][step]) / kRanks, whole[step], 1e-4) << step;
  }
  EXPECT_LT(whole.back(), whole.front());
}

TEST_F(GpuRanks, ReplayedStepsTrainAsOneByOne) {
  const auto want = train_in_parts(Steps::kOneByOne), got = train_in_parts(Steps::kReplayed);
  for (size_t r = 0; r < kRanks; ++r) {
    for (size_t step = 0; step < want[r].size(); ++step) {
      EXPECT_NEAR(got[r][step], want[r][step], 1e-4) << r << " " << step;
    }
  }
}

}  // namespace
}  // namespace trireme::testing
