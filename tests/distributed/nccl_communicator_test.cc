// The nccl backend over fake GPUs and a fake NCCL that really reduces: what it computes, what waits
// for what, and what is held how long.

#include "distributed/nccl_communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "core/base/half.h"
#include "core/cuda/memory.h"
#include "distributed/control_channel.h"
#include "tests/support/message_of.h"
#include "tests/support/nccl_ranks.h"

namespace trireme {
namespace {

using std::chrono::milliseconds;
using testing::DeviceValues;
using ::testing::ElementsAre;
using testing::FakeGpus;
using testing::FakeNccl;
using ::testing::HasSubstr;
using testing::kPatient;
using testing::message_of;
using testing::quick_options;
using testing::run_gpu_ranks;

using Floats = std::vector<float>;

TEST(NcclCommunicator, ReducesOverRanks) {
  FakeNccl nccl;
  run_gpu_ranks(4, [](NcclCommunicator& comm) {
    const auto r = static_cast<float>(comm.rank());
    DeviceValues<float> sum(comm, Floats{r, 10}), mean(comm, Floats{2 * r, 4});
    DeviceValues<int64_t> max(comm, std::vector<int64_t>{comm.rank(), -comm.rank()});
    comm.all_reduce(sum.data(), 2, DType::kF32, ReduceOp::kSum)->wait();
    comm.all_reduce(mean.data(), 2, DType::kF32, ReduceOp::kAverage)->wait();
    comm.all_reduce(max.data(), 2, DType::kI64, ReduceOp::kMax)->wait();
    EXPECT_THAT(sum.read(), ElementsAre(6, 40));
    EXPECT_THAT(mean.read(), ElementsAre(3, 4));
    EXPECT_THAT(max.read(), ElementsAre(3, 0));
  });
  EXPECT_EQ(nccl.live_communicators(), 0);
  EXPECT_EQ(nccl.aborts(), 0);  // they were closed
}

TEST(NcclCommunicator, MovesDataBetweenRanks) {
  FakeNccl nccl;
  run_gpu_ranks(3, [](NcclCommunicator& comm) {
    const auto r = static_cast<float>(comm.rank());
    DeviceValues<float> parts(comm, Floats{r, 1, 10 * r}), part(comm, 1), own(comm, Floats{r});
    DeviceValues<float> all(comm, 3), root(comm, Floats{r});
    comm.reduce_scatter(parts.data(), part.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
    comm.all_gather(own.data(), all.data(), own.bytes())->wait();
    comm.broadcast(root.data(), root.bytes(), 2)->wait();
    EXPECT_EQ(part.read()[0], (Floats{3, 3, 30})[static_cast<size_t>(comm.rank())]);
    EXPECT_THAT(all.read(), ElementsAre(0, 1, 2));
    EXPECT_THAT(root.read(), ElementsAre(2));

    DeviceValues<float> received(comm, 1);
    comm.run_grouped([&] {
      comm.send(own.data(), own.bytes(), (comm.rank() + 1) % 3);
      comm.recv(received.data(), received.bytes(), (comm.rank() + 2) % 3)->is_done();
    });
    comm.barrier();
    EXPECT_EQ(received.read()[0], static_cast<float>((comm.rank() + 2) % 3));
  });
}

TEST(NcclCommunicator, OrMeansOrOfBools) {
  FakeNccl nccl;
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    DeviceValues<uint8_t> flags(comm, std::vector<uint8_t>{1, uint8_t(comm.rank()), 0});
    comm.all_reduce(flags.data(), 3, DType::kBool, ReduceOp::kSum)->wait();
    EXPECT_THAT(flags.read(), ElementsAre(1, 1, 0));
  });
}

TEST(NcclCommunicator, RunsBehindTheCallersStreamAndBeforeWhatFollowsWait) {
  FakeNccl nccl;
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    DeviceValues<float> values(comm, Floats{0});
    const cudaStream_t stream = cuda::current_stream(comm.device().index);
    float* const data = values.data();
    // A slow kernel fills the buffer; nothing but the communicator's own events makes it wait.
    FakeGpus::get().run_on(stream, [data] {
      std::this_thread::sleep_for(milliseconds(20));
      *data = 5;
    });
    const WorkPtr work = comm.all_reduce(data, 1, DType::kF32, ReduceOp::kSum);
    EXPECT_FALSE(work->is_done());
    work->wait();
    FakeGpus::get().run_on(stream, [data] { *data += 1; });
    EXPECT_THAT(values.read(), ElementsAre(11));
    EXPECT_TRUE(work->is_done());
  });
}

TEST(NcclCommunicator, TheHostWaitsForNothing) {
  FakeNccl nccl;
  int waits = 0;
  run_gpu_ranks(2, [&](NcclCommunicator& comm) {
    DeviceValues<float> values(comm, Floats{1});
    comm.barrier();
    const int before = FakeGpus::get().host_waits();
    for (int i = 0; i < 10; ++i) {
      comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kAverage)->wait();
    }
    comm.host().barrier();
    if (comm.rank() == 0) waits = FakeGpus::get().host_waits() - before;
    comm.host().barrier();
  });
  EXPECT_EQ(waits, 0);
}

TEST(NcclCommunicator, AGroupIsOneLaunchInOrder) {
  FakeNccl nccl;
  FakeGpus::get().take_log();
  run_gpu_ranks(1 + 1, [](NcclCommunicator& comm) {
    DeviceValues<float> a(comm, Floats{1}), b(comm, Floats{2});
    std::vector<WorkPtr> works;
    comm.run_grouped([&] {
      works.push_back(comm.all_reduce(a.data(), 1, DType::kF32, ReduceOp::kSum));
      works.push_back(comm.all_reduce(b.data(), 1, DType::kF32, ReduceOp::kSum));
      EXPECT_THAT(message_of<InvalidArgument>([&] { works.front()->wait(); }),
                  HasSubstr("inside run_grouped"));
    });
    for (const WorkPtr& work : works) work->wait();
    EXPECT_THAT(a.read(), ElementsAre(2));
    EXPECT_THAT(b.read(), ElementsAre(4));
  });
  std::vector<std::string> queued;
  for (const std::string& line : FakeGpus::get().take_log()) {
    if (line.starts_with("rank 0") && !line.ends_with("s")) queued.push_back(line);
  }
  EXPECT_THAT(queued, ElementsAre("rank 0: group of 2", "rank 0: collective 1 queued",
                                  "rank 0: collective 2 queued"));
}

TEST(NcclCommunicator, AGroupThatThrowsLaunchesNothing) {
  FakeNccl nccl;
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    DeviceValues<float> a(comm, Floats{1});
    EXPECT_THROW(comm.run_grouped([&] {
      comm.all_reduce(a.data(), 1, DType::kF32, ReduceOp::kSum);
      throw Error("changed my mind");
    }),
                 Error);
    comm.all_reduce(a.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
    EXPECT_THAT(a.read(), ElementsAre(2));
  });
}

// In place of the kernel, which does not run here.
void scale_on_host(Device device, void* data, int64_t count, DType dtype, double factor) {
  FakeGpus::get().run_on(cuda::current_stream(device.index), [=] {
    for (int64_t i = 0; i < count; ++i) {
      if (dtype == DType::kBF16) {
        auto& x = static_cast<BFloat16*>(data)[i];
        x = BFloat16(static_cast<float>(x) * static_cast<float>(factor));
      } else {
        auto& x = static_cast<Float16*>(data)[i];
        x = Float16(static_cast<float>(x) * static_cast<float>(factor));
      }
    }
  });
}

template <typename T>
float average_over(int world_size, float value, DType dtype) {
  float result = 0;
  run_gpu_ranks(world_size, [&](NcclCommunicator& comm) {
    DeviceValues<T> values(comm, std::vector<T>{T(value)});
    comm.all_reduce(values.data(), 1, dtype, ReduceOp::kAverage)->wait();
    const float mean = values.read()[0];
    if (comm.rank() == 0) result = mean;
  });
  return result;
}

TEST(NcclCommunicator, AveragesOf16BitNumbersCarryNoFactor) {
  FakeNccl nccl;
  replace_scale_buffer(scale_on_host);
  // Equal values: the average is the value itself, whatever the number of ranks. With 1/3 rounded
  // to bf16, three ones would become 1.0039.
  for (const int ranks : {2, 3, 5, 6}) {
    EXPECT_EQ(average_over<BFloat16>(ranks, 1.0F, DType::kBF16), 1.0F) << ranks;
    // The sum of these is beyond f16's largest number.
    EXPECT_EQ(average_over<Float16>(ranks, 60000.0F, DType::kF16), 60000.0F) << ranks;
  }
  replace_scale_buffer(nullptr);
}

TEST(NcclAverage, LeavesAPowerOfTwoToNccl) {
  EXPECT_TRUE(plan_average(DType::kBF16, 8).inside_nccl);
  EXPECT_TRUE(plan_average(DType::kF32, 3).inside_nccl);
  const AveragePlan plan = plan_average(DType::kF16, 6);
  EXPECT_FALSE(plan.inside_nccl);
  EXPECT_EQ(plan.before, 0.125);
  EXPECT_DOUBLE_EQ(plan.before * plan.after, 1.0 / 6);
  EXPECT_EQ(Float16::from_bits(scalar_bits(DType::kF16, 0.125)), 0.125F);
}

TEST(NcclCommunicator, HoldsItsOwnBuffersUntilTheyAreDone) {
  FakeNccl nccl;
  run_gpu_ranks(2, [&](NcclCommunicator& comm) {
    // A buffer whose owner goes away while its collective still waits for a slow kernel.
    FakeGpus::get().run_on(cuda::current_stream(comm.device().index),
                           [] { std::this_thread::sleep_for(milliseconds(20)); });
    std::weak_ptr<void> seen;
    {
      const auto buffer = comm.allocate(1 << 21);
      seen = buffer;
      comm.all_reduce(buffer.get(), 1 << 19, DType::kF32, ReduceOp::kSum);
    }
    EXPECT_FALSE(seen.expired());
    comm.barrier();
    EXPECT_TRUE(seen.expired());
  });
}

TEST(NcclCommunicator, RegisteredBuffersAreGivenBack) {
  FakeNccl nccl;
  NcclOptions options = quick_options();
  options.registered_buffers = true;
  run_gpu_ranks(
      2,
      [&](NcclCommunicator& comm) {
        {
          DeviceValues<float> values(comm, Floats{1});
          EXPECT_GE(nccl.live_registrations(), 1);
          comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum)->wait();
          EXPECT_THAT(values.read(), ElementsAre(2));
        }
        comm.barrier();
        comm.host().barrier();
        EXPECT_EQ(nccl.live_registrations(), 0);
        EXPECT_EQ(nccl.live_memory(), 0);
      },
      kPatient, options);
}

// In a process of its own: the variable is read once.
TEST(NcclCommunicator, SyncDebugNamesTheCollectiveThatFaults) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto faulting_collective = [] {
    setenv("TRIREME_SYNC_DEBUG", "1", 1);
    FakeNccl nccl;
    run_gpu_ranks(2, [&](NcclCommunicator& comm) {
      DeviceValues<float> values(comm, Floats{1});
      const auto reduce = [&] { comm.all_reduce(values.data(), 1, DType::kF32, ReduceOp::kSum); };
      comm.host().barrier();
      if (comm.rank() == 0) {
        FakeGpus::get().fail_next("stream_synchronize", cudaErrorIllegalAddress);
        std::fputs(message_of<CudaError>(reduce).c_str(), stderr);
      }
      comm.host().barrier();
      if (comm.rank() == 1) reduce();
    });
    std::exit(0);
  };
  EXPECT_EXIT(faulting_collective(), ::testing::ExitedWithCode(0),
              "all_reduce #1 .*: its work on the device failed");
}

TEST(NcclCommunicator, SplitsIntoGroups) {
  FakeNccl nccl;
  run_gpu_ranks(3, [](NcclCommunicator& comm) {
    const int color = comm.rank() < 2 ? 0 : -1;
    const auto part = comm.split(color, comm.rank());
    if (color < 0) {
      EXPECT_EQ(part, nullptr);
      return;
    }
    comm.host().check();
    EXPECT_EQ(part->rank(), comm.rank());
    EXPECT_THAT(message_of<InvalidArgument>([&] { part->host(); }), HasSubstr("split from"));
  });
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST(NcclCommunicator, ControlTrafficGoesOverTheHost) {
  FakeNccl nccl;
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    EXPECT_EQ(agree_on_step({.loss_sum = 2, .samples = 1}, comm).mean_loss, 2);
    EXPECT_EQ(broadcast_text(comm.rank() == 0 ? "from 0" : "", comm), "from 0");
    EXPECT_EQ(comm.stats().operations, 0);
  });
}

TEST(NcclCommunicator, CountsOperationsAndBytes) {
  FakeNccl nccl;
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    DeviceValues<float> values(comm, 8);
    comm.all_reduce(values.data(), 8, DType::kF32, ReduceOp::kSum)->wait();
    comm.broadcast(values.data(), 32, 0)->wait();
    EXPECT_EQ(comm.stats().operations, 2);
    EXPECT_EQ(comm.stats().bytes, 64);
  });
}

TEST(NcclCommunicator, RefusesArgumentsByName) {
  FakeNccl nccl;
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    DeviceValues<float> v(comm, 1);
    EXPECT_THAT(message_of<InvalidArgument>(
                    [&] { comm.all_reduce(v.data(), 1, DType::kI32, ReduceOp::kAverage); }),
                HasSubstr("all_reduce: average needs a floating-point dtype"));
    EXPECT_THAT(message_of<InvalidArgument>([&] { comm.broadcast(v.data(), 4, 2); }),
                HasSubstr("root must be a rank of 0 to 1, got 2"));
    EXPECT_THAT(message_of<InvalidArgument>([&] { comm.send(v.data(), 4, comm.rank()); }),
                HasSubstr("peer must be another rank"));
  });
}

TEST(NcclApi, FindsAllItCallsInTheInstalledLibrary) {
  try {
    const NcclApi& api = nccl_api();
    EXPECT_GE(checked_nccl_version(api), kOldestNccl);
    ncclUniqueId id = {};
    EXPECT_EQ(api.get_unique_id(&id), ncclSuccess);
  } catch (const CommError& error) {
    GTEST_SKIP() << error.what();
  }
}

TEST(NcclOptions, WhatNcclReadsFromItsEnvironmentMustNotContradict) {
  const char* const variable = "NCCL_PROTO";
  ASSERT_EQ(setenv(variable, "LL", 1), 0);
  NcclOptions options;
  options.protocol = "Simple";
  EXPECT_THAT(message_of<InvalidArgument>([&] { export_nccl_environment(options, "run", 0); }),
              HasSubstr("NCCL_PROTO is 'LL' but TRIREME_NCCL_PROTOCOL asks for 'Simple'"));
  unsetenv(variable);
  export_nccl_environment(options, "run", 0);
  EXPECT_STREQ(std::getenv(variable), "Simple");
  unsetenv(variable);
}

TEST(NcclOptions, RanksOnOneGpuPoseAsNodesUnlessToldOtherwise) {
  ASSERT_EQ(setenv("NCCL_NET", "IB", 1), 0);
  NcclOptions options;
  options.allow_shared_gpu = true;
  export_nccl_environment(options, "run", 3);
  EXPECT_STREQ(std::getenv("NCCL_HOSTID"), "run-3");
  EXPECT_STREQ(std::getenv("NCCL_NET"), "IB");
  for (const char* name : {"NCCL_HOSTID", "NCCL_NET", "NCCL_SOCKET_IFNAME", "NCCL_MNNVL_ENABLE",
                           "NCCL_NVLS_ENABLE", "NCCL_MAX_CTAS"}) {
    EXPECT_NE(std::getenv(name), nullptr) << name;
    unsetenv(name);
  }
}

}  // namespace
}  // namespace trireme
