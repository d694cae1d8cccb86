// What goes wrong in a replayed step ends every rank, soon, with one message that says what it was.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "core/tensor/transfer.h"
#include "core/tensor/view.h"
#include "tests/distributed/gpu_step.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::FakeGpus;
using testing::FakeNccl;
using testing::GpuStep;
using ::testing::HasSubstr;
using testing::message_of;
using testing::run_gpu_ranks;

constexpr CommOptions kDeadline{milliseconds(1000)};
constexpr int kReplayed = 7;  // the first collective of the first replay: behind two steps' three
constexpr int kMostRanks = 3;

class NcclReplayFailures : public ::testing::Test {
 protected:
  NcclReplayFailures() { FakeGpus::get().set_kernel(testing::copy_or_fill); }

  /// A step with three buckets, captured behind one that ran. The graphs outlive the communicators,
  /// which must not wait for that.
  cuda::Graph& prepare(GpuStep& step, const Communicator& comm) {
    step.run();
    auto& graph = graphs[static_cast<size_t>(comm.rank())];
    graph = step.capture();
    return *graph;
  }
  /// Reads a result of the replays, which ends when they are aborted, and gives what the next
  /// replay says.
  std::string error_of_next(GpuStep& step, cuda::Graph& graph) {
    DelayedScalar loss;
    loss.set(element_of(step));
    loss.get();
    return message_of<CommError>([&] { graph.replay(); });
  }

  FakeNccl nccl;
  std::vector<std::unique_ptr<cuda::Graph>> graphs{kMostRanks};

 private:
  static Tensor element_of(GpuStep& step) {
    return views::slice(step.parameters()[0].detach(), 0, 0, 1);
  }
};

/// A rank that is busy with something else until the others have failed.
[[noreturn]] void stay_away(Communicator& comm) {
  while (true) {
    comm.host().check();
    std::this_thread::sleep_for(milliseconds(1));
  }
}

TEST_F(NcclReplayFailures, APeerThatNeverReplaysIsADeadlineForTheOthers) {
  const std::string text = message_of<CommError>([&] {
    run_gpu_ranks(
        3,
        [&](NcclCommunicator& comm) {
          GpuStep step(comm, 3);
          cuda::Graph& graph = prepare(step, comm);
          graph.replay();
          if (comm.rank() == 2) stay_away(comm);
          graph.replay();
          graph.replay();  // the host is ahead
          EXPECT_THAT(error_of_next(step, graph), HasSubstr("the replay #13 to #15"));
          comm.check();
        },
        kDeadline);
  });
  EXPECT_THAT(text, AllOf(HasSubstr("the replay #13 to #15 of all_reduce #7 (average of 64 f32, "
                                    "256 bytes) to all_reduce #9 ("),
                          HasSubstr(") is not done "), HasSubstr(" ms after it could begin; "),
                          HasSubstr("ranks that have launched it: 0, 1; not: 2 (at #12)")));
  EXPECT_EQ(nccl.aborts(), 3);
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST_F(NcclReplayFailures, AHangOnTheGpuAloneIsNoticedToo) {
  nccl.hang_in_collective(1, kReplayed + 3 + 1);  // in the second replay
  const std::string text = message_of<CommError>([&] {
    run_gpu_ranks(
        2,
        [&](NcclCommunicator& comm) {
          GpuStep step(comm, 3);
          cuda::Graph& graph = prepare(step, comm);
          for (int i = 0; i < 3; ++i) graph.replay();
          comm.barrier();
        },
        kDeadline);
  });
  EXPECT_THAT(text,
              AllOf(HasSubstr("the replay #13 to #15"), HasSubstr("all ranks have launched")));
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST_F(NcclReplayFailures, AnErrorThatNcclFindsByItselfEndsTheReplay) {
  nccl.hang_in_collective(1, kReplayed);
  const std::string text = message_of<CommError>([&] {
    run_gpu_ranks(2, [&](NcclCommunicator& comm) {
      GpuStep step(comm, 3);
      cuda::Graph& graph = prepare(step, comm);
      graph.replay();
      if (comm.rank() == 0) nccl.set_async_error(0, ncclRemoteError);
      error_of_next(step, graph);
      comm.check();
    });
  });
  EXPECT_THAT(text, HasSubstr("remote process exited"));
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST_F(NcclReplayFailures, AnErrorOfOneRankReachesTheOthersWhileTheirGpusWait) {
  const std::string text = message_of<Error>([&] {
    run_gpu_ranks(3, [&](NcclCommunicator& comm) {
      GpuStep step(comm, 3);
      cuda::Graph& graph = prepare(step, comm);
      if (comm.rank() == 1) throw Error("disk full");
      graph.replay();
      EXPECT_THAT(error_of_next(step, graph), HasSubstr("disk full"));
      comm.check();
    });
  });
  EXPECT_EQ(text, "disk full");
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST_F(NcclReplayFailures, AnAbortWaitsForNobodyWhoIsCapturing) {
  std::promise<void> has_captured;
  const std::string text = message_of<Error>([&] {
    run_gpu_ranks(2, [&](NcclCommunicator& comm) {
      testing::DeviceValues<float> values(comm, std::vector<float>{1});
      if (comm.rank() == 1) {
        has_captured.get_future().wait();
        throw Error("disk full");
      }
      cuda::capture(comm.device().index, [&] {
        comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
        has_captured.set_value();
        while (nccl.aborts() < 2) std::this_thread::sleep_for(milliseconds(1));
        comm.split(-1, 0);  // a call into NCCL while the abort waits for the graph
      });
    });
  });
  EXPECT_EQ(text, "disk full");
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST_F(NcclReplayFailures, ReplaysThatWaitForEachOtherHaveADeadlineEach) {
  // Three in the queue at once take longer than one may.
  for (const int replay : {0, 1, 2}) {
    nccl.delay_collective(1, kReplayed + 3 * replay, milliseconds(400));
  }
  run_gpu_ranks(
      2,
      [&](NcclCommunicator& comm) {
        GpuStep step(comm, 3);
        cuda::Graph& graph = prepare(step, comm);
        step.set_input(1);
        for (int i = 0; i < 3; ++i) graph.replay();
        EXPECT_THAT(step.values(), ElementsAre(-3, -6, -9));
      },
      kDeadline);
}

TEST_F(NcclReplayFailures, WorkBeforeAReplayDoesNotCountAgainstItsDeadline) {
  run_gpu_ranks(
      2,
      [&](NcclCommunicator& comm) {
        GpuStep step(comm, 3);
        cuda::Graph& graph = prepare(step, comm);
        step.set_input(1);
        step.on_stream([] { std::this_thread::sleep_for(2 * testing::kHasty.timeout); });
        graph.replay();
        EXPECT_THAT(step.values(), ElementsAre(-1, -2, -3));
      },
      testing::kHasty);
}

TEST_F(NcclReplayFailures, AStuckAbortIsSaidThoughGraphsAreAlive) {
  nccl.hang_in_abort();
  nccl.hang_in_collective(1, kReplayed);
  std::atomic<int> stuck{0};
  NcclOptions options = testing::quick_options();
  options.abort_timeout = milliseconds(50);
  options.on_stuck_abort = [&](const std::string&) {
    ++stuck;
    nccl.let_aborts_return();  // so that the GPU's threads of this test end
  };
  EXPECT_THAT(message_of<CommError>([&] {
                run_gpu_ranks(
                    2,
                    [&](NcclCommunicator& comm) {
                      GpuStep step(comm, 3);
                      prepare(step, comm).replay();
                      comm.barrier();
                    },
                    kDeadline, options);
              }),
              HasSubstr("the replay #10 to #12"));
  EXPECT_GE(stuck, 1);
}

class GraphCallFailure : public NcclReplayFailures,
                         public ::testing::WithParamInterface<const char*> {};

TEST_P(GraphCallFailure, EndsEveryRank) {
  EXPECT_THAT(message_of<Error>([&] {
                run_gpu_ranks(
                    2,
                    [&](NcclCommunicator& comm) {
                      GpuStep step(comm, 3);
                      step.run();
                      comm.host().barrier();
                      if (comm.rank() == 0) {
                        FakeGpus::get().fail_next(GetParam(), cudaErrorIllegalAddress);
                      }
                      comm.host().barrier();
                      auto& graph = graphs[static_cast<size_t>(comm.rank())];
                      graph = step.capture();
                      graph->replay();
                      comm.barrier();
                    },
                    kDeadline);
              }),
              HasSubstr("cudaErrorIllegalAddress"));
  EXPECT_EQ(nccl.live_communicators(), 0);
}

INSTANTIATE_TEST_SUITE_P(Calls, GraphCallFailure,
                         ::testing::Values("stream_begin_capture", "stream_end_capture",
                                           "graph_instantiate", "graph_launch"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace trireme
