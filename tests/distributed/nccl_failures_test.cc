// What goes wrong with NCCL ends every rank, soon, with one message that says what it was.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "core/cuda/device.h"
#include "distributed/device_of_rank.h"
#include "tests/support/environment_variable.h"
#include "tests/support/message_of.h"
#include "tests/support/nccl_ranks.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using testing::DeviceValues;
using testing::EnvironmentVariable;
using testing::FakeGpus;
using testing::FakeNccl;
using ::testing::HasSubstr;
using testing::kHasty;
using testing::kPatient;
using testing::message_of;
using ::testing::Not;
using testing::quick_options;
using testing::run_gpu_ranks;

using Floats = std::vector<float>;

TEST(NcclFailures, ARankThatHangsInInitIsADeadlineForAll) {
  FakeNccl nccl;
  nccl.hang_in_init(1);
  EXPECT_THAT(message_of<CommError>([] {
                run_gpu_ranks(
                    3, [](NcclCommunicator&) {}, kHasty);
              }),
              AllOf(HasSubstr(" waited 300 ms for the other 2 ranks in ncclCommInitRankConfig"),
                    HasSubstr("NCCL_SOCKET_IFNAME")));
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST(NcclFailures, ACollectiveThatHangsNamesWhoHasArrived) {
  FakeNccl nccl;
  const std::string text = message_of<CommError>([&] {
    run_gpu_ranks(
        3,
        [](NcclCommunicator& comm) {
          DeviceValues<float> values(comm, Floats(4));
          comm.all_reduce(values.data(), 4, DType::kF32, ReduceOp::kSum)->wait();
          // Rank 2 never makes its second call; the others' GPUs wait for it, their hosts do not.
          if (comm.rank() == 2) {
            while (true) {
              comm.host().check();
              std::this_thread::sleep_for(milliseconds(1));
            }
          }
          comm.all_reduce(values.data(), 4, DType::kF32, ReduceOp::kAverage)->wait();
          values.read();  // as a training step that reads its loss: the abort frees it
          comm.check();
        },
        kHasty);
  });
  EXPECT_THAT(text, AllOf(HasSubstr("all_reduce #2 (average of 4 f32, 16 bytes) is not done"),
                          HasSubstr("ranks that have launched it: 0, 1; not: 2 (at #1)")));
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST(NcclFailures, AHangOnTheGpuAloneIsNoticedToo) {
  FakeNccl nccl;
  nccl.hang_in_collective(1, 2);
  const std::string text = message_of<CommError>([&] {
    run_gpu_ranks(
        2,
        [](NcclCommunicator& comm) {
          DeviceValues<float> values(comm, Floats{1});
          for (int i = 0; i < 3; ++i) {
            comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
          }
          comm.barrier();
        },
        kHasty);
  });
  EXPECT_THAT(text, AllOf(HasSubstr("all_reduce #2"), HasSubstr("all ranks have launched it")));
}

TEST(NcclFailures, APeerThatIsSlowWithinTheDeadlineIsWaitedFor) {
  FakeNccl nccl;
  nccl.delay_collective(1, 1, milliseconds(100));
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    DeviceValues<float> values(comm, Floats{1});
    comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
    EXPECT_EQ(values.read()[0], 2);
  });
}

TEST(NcclFailures, ComputationBeforeACollectiveDoesNotCountAgainstItsDeadline) {
  FakeNccl nccl;
  run_gpu_ranks(
      2,
      [](NcclCommunicator& comm) {
        DeviceValues<float> values(comm, Floats{1});
        FakeGpus::get().run_on(cuda::current_stream(comm.device().index),
                               [] { std::this_thread::sleep_for(2 * kHasty.timeout); });
        comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
        EXPECT_EQ(values.read()[0], 2);
      },
      kHasty);
}

TEST(NcclFailures, AnErrorThatNcclFindsByItselfEndsTheCollective) {
  FakeNccl nccl;
  nccl.hang_in_collective(1, 1);
  const std::string text = message_of<CommError>([&] {
    run_gpu_ranks(2, [&](NcclCommunicator& comm) {
      DeviceValues<float> values(comm, Floats{1});
      comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
      if (comm.rank() == 0) nccl.set_async_error(0, ncclRemoteError);
      comm.barrier();
    });
  });
  EXPECT_THAT(text, AllOf(HasSubstr("remote process exited"), HasSubstr("other ranks' logs")));
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST(NcclFailures, AnErrorOfOneRankReachesTheOthersWhileTheirGpusWait) {
  FakeNccl nccl;
  const std::string text = message_of<Error>([&] {
    run_gpu_ranks(3, [](NcclCommunicator& comm) {
      DeviceValues<float> values(comm, Floats{1});
      if (comm.rank() == 1) throw Error("disk full");
      comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
      const std::string mine = message_of<CommError>([&] {
        values.read();
        comm.barrier();
      });
      EXPECT_THAT(mine, HasSubstr("disk full"));
      comm.check();
    });
  });
  EXPECT_EQ(text, "disk full");
}

TEST(NcclFailures, AnAbortThatHangsIsLeftBehindAndSaid) {
  FakeNccl nccl;
  nccl.hang_in_abort();
  nccl.hang_in_collective(1, 1);
  std::promise<std::string> stuck;
  NcclOptions options = quick_options();
  options.abort_timeout = milliseconds(50);
  std::atomic<bool> first{true};
  options.on_stuck_abort = [&](const std::string& text) {
    if (first.exchange(false)) stuck.set_value(text);
    nccl.let_aborts_return();  // so that the GPU's threads of this test end
  };
  EXPECT_THAT(message_of<CommError>([&] {
                run_gpu_ranks(
                    2,
                    [](NcclCommunicator& comm) {
                      DeviceValues<float> values(comm, Floats{1});
                      comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
                      comm.barrier();
                    },
                    kHasty, options);
              }),
              HasSubstr("all_reduce #1"));
  EXPECT_THAT(stuck.get_future().get(),
              AllOf(HasSubstr("the abort hung for 50 ms"), HasSubstr("all_reduce #1")));
}

TEST(NcclFailures, AStuckAbortEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        FakeNccl nccl;
        nccl.hang_in_abort();
        nccl.hang_in_collective(1, 1);
        NcclOptions options = quick_options();
        options.abort_timeout = milliseconds(50);
        run_gpu_ranks(
            2,
            [](NcclCommunicator& comm) {
              DeviceValues<float> values(comm, Floats{1});
              comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
              values.read();  // never returns: the GPU is stuck
            },
            kHasty, options);
      },
      ::testing::ExitedWithCode(69), "the abort hung");
}

TEST(NcclFailures, VersionsThatDifferAreNamedWithTheRanks) {
  FakeNccl nccl;
  nccl.set_version(1, 22705);
  EXPECT_THAT(message_of<CommError>([] { run_gpu_ranks(3, [](NcclCommunicator&) {}); }),
              AllOf(HasSubstr("rank 1: NCCL 2.27.5"),
                    HasSubstr("rank 0, 2: NCCL " + nccl_version_text(NCCL_VERSION_CODE))));
}

TEST(NcclFailures, AnOldLibraryIsNamed) {
  FakeNccl nccl;
  for (const int gpu : {0, 1}) nccl.set_version(gpu, 21403);
  EXPECT_THAT(message_of<CommError>([] { run_gpu_ranks(2, [](NcclCommunicator&) {}); }),
              AllOf(HasSubstr("libnccl is version 2.14.3"), HasSubstr("2.19.3")));
}

TEST(NcclFailures, TwoRanksOnOneGpuAreRefusedWithTheFix) {
  FakeNccl nccl;
  FakeGpus::get().alias_gpu(2, 0);
  EXPECT_THAT(message_of<CommError>([] { run_gpu_ranks(3, [](NcclCommunicator&) {}); }),
              AllOf(HasSubstr("ranks 0, 2 on "), HasSubstr("share one GPU, GPU-"),
                    HasSubstr("CUDA_VISIBLE_DEVICES"), HasSubstr("TRIREME_ALLOW_SHARED_GPU=1")));
}

TEST(NcclFailures, ThreadsOfOneProcessCannotShareAGpuEvenIfAllowed) {
  FakeNccl nccl;
  FakeGpus::get().alias_gpu(1, 0);
  NcclOptions options = quick_options();
  options.allow_shared_gpu = true;
  EXPECT_THAT(message_of<CommError>([&] {
                run_gpu_ranks(
                    2, [](NcclCommunicator&) {}, kPatient, options);
              }),
              HasSubstr("start processes"));
}

TEST(RunRanks, MoreRanksThanGpusIsSaidBeforeAnythingStarts) {
  FakeNccl nccl;
  const EnvironmentVariable allowed("TRIREME_ALLOW_SHARED_GPU", "1");  // for processes
  cuda::make_current(0);
  for (const int gpus : {1, 2}) {
    FakeGpus::get().set_visible(gpus);
    EXPECT_THAT(message_of<InvalidArgument>([] { run_gpu_ranks(3, [](NcclCommunicator&) {}); }),
                AllOf(HasSubstr("run_ranks: each of 3 ranks needs a GPU of its own"),
                      HasSubstr(concat("shows this process ", gpus)),
                      HasSubstr(concat("at most ", gpus, " ranks"))));
  }
  FakeGpus::get().set_visible(0);
  EXPECT_THROW(run_gpu_ranks(2, [](NcclCommunicator&) {}), CudaError);
}

TEST(RunRanks, LeavesTheCallersDeviceAlone) {
  FakeNccl nccl;
  cuda::make_current(0);
  run_gpu_ranks(3, [](NcclCommunicator&) {});
  int device = -1;
  cuda::api().get_device(&device);
  EXPECT_EQ(device, 0);
}

TEST(DeviceOfRank, ARankWithoutAGpuIsToldHowManyThereAre) {
  FakeNccl nccl;
  FakeGpus::get().set_visible(2);
  RankEnv env;
  env.world_size = env.local_world_size = 3;
  env.rank = env.local_rank = 2;
  EXPECT_THAT(message_of<InvalidArgument>([&] { device_of_rank("cuda", env); }),
              AllOf(HasSubstr("local rank 2 of 3 has no GPU"), HasSubstr("has 2"),
                    HasSubstr("at most 2 ranks")));
}

TEST(DeviceOfRank, TakesTheLocalRanksDevice) {
  FakeNccl nccl;
  RankEnv env;
  env.world_size = env.local_world_size = 4;
  env.rank = env.local_rank = 3;
  EXPECT_EQ(device_of_rank("cuda", env), (Device{DeviceType::kCuda, 3}));
  EXPECT_EQ(device_of_rank("cpu", env), Device{});
  FakeGpus::get().set_visible(1);  // a launcher that shows each rank its own
  EXPECT_EQ(device_of_rank("cuda", env), (Device{DeviceType::kCuda, 0}));
  EXPECT_THAT(message_of<InvalidArgument>([&] { device_of_rank("cuda:0", env); }),
              HasSubstr("all 4 ranks of this node would use cuda:0"));
  FakeGpus::get().set_visible(0);
  EXPECT_THROW(device_of_rank("cuda", env), CudaError);
}

}  // namespace
}  // namespace trireme
