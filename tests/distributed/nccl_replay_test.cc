// Whole training steps of several ranks, captured and replayed: the all-reduce is part of the
// graph.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/autograd/hooks.h"
#include "core/cuda/stream.h"
#include "tests/distributed/gpu_step.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using testing::DeviceValues;
using ::testing::Each;
using ::testing::ElementsAre;
using testing::FakeGpus;
using testing::FakeNccl;
using testing::GpuStep;
using ::testing::HasSubstr;
using testing::message_of;
using testing::run_gpu_ranks;

class NcclReplay : public ::testing::Test {
 protected:
  NcclReplay() { FakeGpus::get().set_kernel(testing::copy_or_fill); }
  FakeNccl nccl;  // first: it resets the GPUs
};

TEST_F(NcclReplay, AveragesWhatEachReplayFinds) {
  for (const int ranks : {2, 3, 4}) {
    run_gpu_ranks(ranks, [ranks](NcclCommunicator& comm) {
      GpuStep step(comm, 3);
      std::unique_ptr<cuda::Graph> graph;
      float sum = 0;  // of the means of the inputs
      const int64_t before = comm.stats().operations;
      for (int i = 0; i < 8; ++i) {
        if (i == 2) {
          graph = step.capture();
          EXPECT_THAT(step.values(), ElementsAre(-sum, -2 * sum, -3 * sum)) << "nothing has run";
        }
        step.set_input(2 * comm.rank() + i);
        sum += static_cast<float>(ranks - 1 + i);
        // Step by step in between, too: the parameters are the same ones.
        if (graph && i != 5) {
          graph->replay();
        } else {
          step.run();
        }
        EXPECT_THAT(step.values(), ElementsAre(-sum, -2 * sum, -3 * sum)) << i;
      }
      EXPECT_EQ(comm.stats().operations - before, 8 * 3) << "a capture reduces nothing";
      step.ddp().check_replicas();
    });
  }
}

TEST_F(NcclReplay, ReplaysRunBehindEachOtherWithoutTheHost) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GpuStep step(comm, 3);
    step.run();
    const auto graph = step.capture();
    const int64_t waits = cuda::sync_count();
    comm.host().barrier();
    for (int i = 1; i <= 10; ++i) {
      step.set_input(i);
      graph->replay();
    }
    comm.host().barrier();
    EXPECT_EQ(cuda::sync_count(), waits);
    comm.host().barrier();
    EXPECT_THAT(step.values(), ElementsAre(-55, -110, -165));
  });
}

TEST_F(NcclReplay, BucketsKeepTheirOrderAndWaitForTheirGradients) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GpuStep step(comm, 3);
    step.run();
    const auto graph = step.capture();
    comm.barrier();
    if (comm.rank() == 0) FakeGpus::get().take_log();
    comm.host().barrier();
    graph->replay();
    comm.barrier();  // waits for replays as for collectives
    std::vector<std::string> mine;
    for (const std::string& line : FakeGpus::get().peek_log()) {
      if (line.starts_with(concat("rank ", comm.rank())) && !line.ends_with("ends")) {
        mine.push_back(line.substr(8));
      }
    }
    const auto at = [&](const std::string& what) {
      return std::find(mine.begin(), mine.end(), what) - mine.begin();
    };
    // Three broadcasts and a step came before.
    EXPECT_LT(at("collective 7 begins"), at("collective 8 begins"));
    EXPECT_LT(at("collective 8 begins"), at("collective 9 begins"));
    EXPECT_LT(at("gradient 2"), at("collective 7 begins"));
    EXPECT_LT(at("gradient 1"), at("collective 8 begins"));
    EXPECT_LT(at("gradient 0"), at("collective 9 begins"));
    EXPECT_EQ(mine.size(), 6u);
  });
}

TEST_F(NcclReplay, ABucketsAllReduceRunsBesideTheRestOfBackward) {
  std::atomic<int> overlapped{0};
  run_gpu_ranks(2, [&](NcclCommunicator& comm) {
    GpuStep step(comm, 3);
    step.run();
    // Between the second gradient and the third the GPU waits for the first one's all-reduce.
    const auto hook = register_accumulate_hook(step.parameters()[1], [&, rank = comm.rank()] {
      step.on_stream([&overlapped, end = concat("rank ", rank, ": collective 7 ends")] {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (std::chrono::steady_clock::now() < limit) {
          const auto log = FakeGpus::get().peek_log();
          if (std::find(log.begin(), log.end(), end) != log.end()) {
            ++overlapped;
            return;
          }
          std::this_thread::yield();
        }
      });
    });
    const auto graph = step.capture();
    graph->replay();
    comm.barrier();
  });
  EXPECT_EQ(overlapped, 2);
}

TEST_F(NcclReplay, IsRefusedBeforeBucketsArePlanned) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GpuStep step(comm, 3);
    EXPECT_THAT(message_of<CudaError>([&] { step.capture(); }),
                AllOf(HasSubstr("capture: the step cannot be captured"),
                      HasSubstr("plans buckets: run it before")));
    EXPECT_THAT(message_of<CudaError>([&] {
                  const auto local = step.ddp().no_sync();
                  step.capture();
                }),
                HasSubstr("plans buckets: run it before"));
    step.set_input(1);
    step.run();
    const auto graph = step.capture();
    graph->replay();
    EXPECT_THAT(step.values(), ElementsAre(-2, -4, -6));
  });
}

TEST_F(NcclReplay, AnUnusedParameterIsNamedByTheCapture) {
  run_gpu_ranks(3, [](NcclCommunicator& comm) {
    GpuStep step(comm, 2);
    step.run();
    EXPECT_THAT(message_of<InvalidArgument>([&] { step.capture(comm.rank() == 1 ? 0 : -1); }),
                HasSubstr("p0: used on rank 0, 2"));
    const auto graph = step.capture();  // all ranks saw it alike and may go on
    step.set_input(1);
    graph->replay();
    EXPECT_THAT(step.values(), ElementsAre(-1, -2));
  });
}

TEST_F(NcclReplay, AnAllowedUnusedParameterCountsAsZeroInEveryReplay) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GpuStep step(comm, 2, UnusedParameters::kAllow);
    step.run();
    const auto graph = step.capture(comm.rank() == 1 ? 0 : -1);
    for (int i = 0; i < 3; ++i) {
      step.set_input(2);
      graph->replay();
    }
    EXPECT_THAT(step.values(), ElementsAre(-3, -12));
  });
}

// The communicator's stream has other work under way when the step is replayed elsewhere.
TEST_F(NcclReplay, TakesItsPlaceAmongOtherCollectives) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GpuStep step(comm, 1);
    step.run();
    const auto graph = step.capture();
    DeviceValues<float> other(comm, std::vector<float>{static_cast<float>(comm.rank())});
    cuda::synchronize(comm.device().index);
    const cuda::Stream beside(comm.device().index);
    WorkPtr work;
    {
      const cuda::StreamGuard guard(beside);
      if (comm.rank() == 0) {
        step.on_stream([] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); });
      }
      work = comm.all_reduce(other.data(), 1, DType::kF32, ReduceOp::kSum);
    }
    step.set_input(comm.rank() + 1);
    graph->replay();
    work->wait();
    EXPECT_THAT(step.values(), ElementsAre(-1.5F));
    EXPECT_THAT(other.read(), ElementsAre(1));
  });
}

TEST_F(NcclReplay, NeedsCollectivesThatTheStepWaitsFor) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    DeviceValues<float> values(comm, std::vector<float>{1});
    EXPECT_THAT(message_of<CudaError>([&] {
                  cuda::capture(comm.device().index, [&] {
                    comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum);
                  });
                }),
                HasSubstr("cudaErrorStreamCaptureUnjoined"));
    comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
    EXPECT_THAT(values.read(), ElementsAre(2));
  });
}

TEST_F(NcclReplay, AGraphKeepsTheBucketsItReduces) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GpuStep step(comm, 2);
    step.run();
    const auto graph = step.capture();
    step.drop_ddp();
    comm.barrier();  // what ran before holds them no longer
    // Whoever gets memory now, of whatever size, must not find gradients there.
    std::vector<Tensor> others;
    for (int64_t size = GpuStep::kSize; size <= 8 * GpuStep::kSize; size += GpuStep::kSize / 2) {
      for (int i = 0; i < 4; ++i) {
        others.push_back(
            from_vector(std::vector<float>(static_cast<size_t>(size), 7), {size}, comm.device()));
      }
    }
    step.set_input(1);
    graph->replay();
    EXPECT_THAT(step.values(), ElementsAre(-1, -2));
    for (const Tensor& other : others) EXPECT_THAT(other.to_vector<float>(), Each(7));
  });
}

// NCCL would wait for the graphs, and they live longer here.
TEST_F(NcclReplay, AClosedCommunicatorEndsTheGraphs) {
  std::vector<std::unique_ptr<cuda::Graph>> graphs(2);
  run_gpu_ranks(2, [&](NcclCommunicator& comm) {
    auto& graph = graphs[static_cast<size_t>(comm.rank())];
    GpuStep step(comm, 2);
    step.run();
    graph = step.capture();
    graph->replay();
    const auto second = step.capture();
    second->replay();  // and is gone before
    step.values();
  });
  EXPECT_EQ(nccl.live_communicators(), 0);
  EXPECT_EQ(nccl.aborts(), 0);
  for (const auto& graph : graphs) {
    EXPECT_THAT(message_of<CommError>([&] { graph->replay(); }),
                HasSubstr("is replayed after the communicator of its collectives was closed"));
  }
}

}  // namespace
}  // namespace trireme
