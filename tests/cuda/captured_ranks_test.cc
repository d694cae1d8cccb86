// Whole training steps of several ranks on emulated GPUs, captured and replayed: real kernels on
// streams that run side by side, with NCCL's part done by FakeNccl. Replays give what the same
// steps give one by one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "core/cuda/graph.h"
#include "core/cuda/stream.h"
#include "core/nn/module.h"
#include "core/ops/ops.h"
#include "core/optim/adam.h"
#include "core/optim/clip.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "distributed/ddp.h"
#include "tests/cuda/emulator/emulator.h"
#include "tests/support/nccl_ranks.h"

namespace trireme {
namespace {

using testing::FakeGpus;
using testing::FakeNccl;
using testing::run_gpu_ranks;

constexpr int kWarmUp = 2, kReplays = 4;
constexpr int64_t kRows = 6, kColumns = 5;

// What a block shares is static in the emulator, so grids run one at a time.
void run_on_fake_gpu(cudaStream_t stream, std::function<void()> grid) {
  FakeGpus::get().run_on(stream, [grid = std::move(grid)] {
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    grid();
  });
}

/// Values that differ everywhere and are numbers of every dtype.
Tensor values(const Shape& shape, int seed, TensorOptions options) {
  std::vector<float> all;
  for (int64_t i = 0; i < shape.product(); ++i) {
    all.push_back(static_cast<float>((i * 7 + seed * 5) % 13 - 6) / 8);
  }
  return to(to(from_vector(all, shape), options.dtype), options.device);
}

/// y = gelu(x * scale + shift) * gain
struct Net : Module {
  Net(DType dtype, Device device) {
    int seed = 1;
    for (const char* name : {"scale", "shift", "gain"}) {
      parameters.push_back(values({kColumns}, seed++, {dtype, device}).set_requires_grad());
      register_parameter(name, parameters.back());
    }
  }
  Tensor loss(const Tensor& x, const Tensor& wanted) const {
    return mean(square(gelu(x * parameters[0] + parameters[1]) * parameters[2] - wanted));
  }
  std::vector<Tensor> parameters;
};

struct Case {
  int ranks;
  DType dtype;
  int micro_batches;
};

class Training {
 public:
  Training(Communicator& comm, const Case& of)
      : rank_(comm.rank()),
        micro_batches_(of.micro_batches),
        options_{of.dtype, comm.device()},
        net_(of.dtype, comm.device()),
        ddp_(net_, comm, {.sizes = {1, 1, 1}}),  // a bucket for every parameter
        optimizer_(decay_matrices_only(net_.named_parameters(), 0.1), AdamOptions{}) {
    ddp_.accumulate(micro_batches_);
    for (int m = 0; m < micro_batches_; ++m) batches_.push_back(zeros({kRows, kColumns}, options_));
  }

  /// What the host does before each step: another batch, another learning rate.
  void prepare(int number) {
    for (int m = 0; m < micro_batches_; ++m) {
      copy_inplace(batches_[static_cast<size_t>(m)],
                   values({kRows, kColumns}, number + 10 * m + 100 * rank_, {options_.dtype, {}}));
    }
    optimizer_.set_lr(0.01 / (1 + number));
  }
  void step() {
    Tensor loss;
    for (const Tensor& batch : batches_) {
      loss = net_.loss(batch, wanted_);
      ddp_.backward(loss);
    }
    const GradientNorm g = clip_grad_norm(net_.named_parameters(), 0.1);
    optimizer_.step(g.factor);
    optimizer_.zero_grad();
    copy_inplace(loss_, loss.detach());
    copy_inplace(norm_, g.norm);
  }

  std::vector<double> numbers() const {
    std::vector<double> all{loss_.item(), norm_.item()};
    for (const Tensor& p : net_.parameters) {
      for (const float x : to(p.detach(), DType::kF32).to_vector<float>()) all.push_back(x);
    }
    return all;
  }
  Optimizer& optimizer() { return optimizer_; }
  DistributedDataParallel& ddp() { return ddp_; }
  const Tensor& loss() const { return loss_; }

 private:
  const int rank_, micro_batches_;
  const TensorOptions options_;
  Net net_;
  DistributedDataParallel ddp_;
  AdamW optimizer_;
  std::vector<Tensor> batches_;
  const Tensor wanted_ = values({kRows, kColumns}, 3, options_);
  Tensor loss_ = zeros({}, {options_.dtype, options_.device});
  Tensor norm_ = zeros({}, {DType::kF64, options_.device});
};

class CapturedRanks : public ::testing::TestWithParam<Case> {
 protected:
  CapturedRanks() { emulator::set_queue(run_on_fake_gpu); }
  FakeNccl nccl;
};

TEST_P(CapturedRanks, TrainAsStepByStep) {
  run_gpu_ranks(GetParam().ranks, [](NcclCommunicator& comm) {
    Training eager(comm, GetParam()), captured(comm, GetParam());
    EXPECT_EQ(captured.ddp().reducer().buckets().size(), 3u);
    captured.optimizer().keep_schedule_on_device();
    std::unique_ptr<cuda::Graph> graph;
    for (int i = 0; i < kWarmUp + kReplays; ++i) {
      eager.prepare(i);
      eager.step();
      captured.prepare(i);
      if (i < kWarmUp) {
        captured.step();
      } else {
        if (!graph) graph = cuda::capture(comm.device().index, [&] { captured.step(); });
        graph->replay();
      }
      const std::vector<double> want = eager.numbers(), got = captured.numbers();
      ASSERT_EQ(got.size(), want.size());
      for (size_t k = 0; k < want.size(); ++k) EXPECT_DOUBLE_EQ(got[k], want[k]) << i << " " << k;
    }
    captured.ddp().check_replicas();
  });
  EXPECT_GT(emulator::grids_run(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CapturedRanks,
    ::testing::Values(Case{2, DType::kF32, 1}, Case{4, DType::kF32, 1}, Case{2, DType::kF32, 3},
                      Case{3, DType::kBF16, 1}),  // whose averages need a kernel of ours
    [](const auto& instance) {
      return concat(instance.param.ranks, "Ranks_", name_of(instance.param.dtype), "_",
                    instance.param.micro_batches, "Batches");
    });

using CapturedRanksLoop = CapturedRanks;

// As a trainer does it: inputs go in, the loss comes out a step late, the host waits for nothing.
TEST_P(CapturedRanksLoop, TheHostNeverWaits) {
  run_gpu_ranks(GetParam().ranks, [](NcclCommunicator& comm) {
    Training training(comm, GetParam());
    training.optimizer().keep_schedule_on_device();
    for (int i = 0; i < kWarmUp; ++i) {
      training.prepare(i);
      training.step();
    }
    const auto graph = cuda::capture(comm.device().index, [&] { training.step(); });
    comm.host().barrier();
    const int64_t waits = cuda::sync_count();
    DelayedScalar loss;
    double sum = 0;
    for (int i = kWarmUp; i < kWarmUp + kReplays; ++i) {
      training.prepare(i);
      graph->replay();
      if (loss.is_set()) sum += loss.get();
      loss.set(training.loss());
    }
    comm.host().barrier();
    EXPECT_EQ(cuda::sync_count(), waits);
    EXPECT_GT(sum, 0);
    comm.host().barrier();
  });
}

INSTANTIATE_TEST_SUITE_P(Cases, CapturedRanksLoop, ::testing::Values(Case{2, DType::kF32, 1}),
                         [](const auto&) { return std::string("2Ranks"); });

}  // namespace
}  // namespace trireme
