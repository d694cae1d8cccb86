// Every entry point of NCCL and of the CUDA runtime that a rank calls, failing: all ranks end with
// its name, or, where nobody can be told, as if it had not failed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/message_of.h"
#include "tests/support/nccl_ranks.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using testing::DeviceValues;
using testing::FakeGpus;
using testing::FakeNccl;
using ::testing::HasSubstr;
using testing::kPatient;
using testing::message_of;
using testing::quick_options;
using testing::run_gpu_ranks;

using Floats = std::vector<float>;

// Uses every entry point that a rank uses, some steps long.
void use_everything(NcclCommunicator& comm) {
  DeviceValues<float> values(comm, Floats{1, 2});
  DeviceValues<BFloat16> narrow(comm, std::vector<BFloat16>{BFloat16(1)});
  DeviceValues<float> all(comm, static_cast<size_t>(2 * comm.world_size()));
  for (int step = 0; step < 3; ++step) {
    comm.all_reduce(values.data(), 2, DType::kF32, ReduceOp::kAverage)->wait();
    comm.all_reduce(narrow.data(), 1, DType::kBF16, ReduceOp::kAverage)->wait();
    comm.all_gather(values.data(), all.data(), 8)->wait();
    comm.reduce_scatter(all.data(), values.data(), 2, DType::kF32, ReduceOp::kSum)->wait();
    comm.broadcast(values.data(), 8, 0)->wait();
    comm.run_grouped([&] {
      comm.send(values.data(), 8, (comm.rank() + 1) % comm.world_size());
      comm.recv(all.data(), 8, (comm.rank() + 2) % comm.world_size());
    });
    comm.host().barrier();
  }
  comm.split(0, comm.rank());
  comm.barrier();
}

class NcclFailure : public ::testing::TestWithParam<const char*> {};

TEST_P(NcclFailure, OfAnyCallEndsEveryRankWithItsName) {
  FakeNccl nccl;
  replace_scale_buffer([](Device, void*, int64_t, DType, double) {});
  NcclOptions options = quick_options();
  options.registered_buffers = true;
  nccl.fail_next(GetParam(), ncclSystemError);
  const std::string text = message_of<CommError>(
      [&] { run_gpu_ranks(3, use_everything, {std::chrono::seconds(2)}, options); });
  EXPECT_THAT(text, AllOf(HasSubstr("nccl"), HasSubstr("failed, fake error")));
  EXPECT_THAT(text, HasSubstr("NCCL_"));
  EXPECT_EQ(nccl.live_communicators(), 0);
  replace_scale_buffer(nullptr);
}

INSTANTIATE_TEST_SUITE_P(Calls, NcclFailure,
                         ::testing::Values("get_version", "get_unique_id", "comm_init_rank_config",
                                           "comm_get_async_error", "comm_split", "comm_user_rank",
                                           "comm_count", "comm_finalize", "group_start",
                                           "group_end", "all_reduce", "reduce_scatter",
                                           "all_gather", "broadcast", "send", "recv",
                                           "red_op_create_pre_mul_sum", "red_op_destroy",
                                           "mem_alloc", "comm_register", "comm_destroy"),
                         [](const auto& instance) { return std::string(instance.param); });

// What fails in a destructor, or while something else has failed already, is no error of its own.

TEST(NcclCallFailures, AnAbortThatFailsHidesNothing) {
  FakeNccl nccl;
  nccl.fail_next("comm_abort", ncclSystemError);
  EXPECT_EQ(message_of<Error>([] {
              run_gpu_ranks(3, [](NcclCommunicator& comm) {
                if (comm.rank() == 1) throw Error("disk full");
                comm.barrier();
              });
            }),
            "disk full");
  EXPECT_FALSE(nccl.is_pending("comm_abort"));
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST(NcclCallFailures, ABufferThatCannotBeFreedIsNoErrorOfItsOwner) {
  FakeNccl nccl;
  NcclOptions options = quick_options();
  options.registered_buffers = true;
  nccl.fail_next("mem_free", ncclSystemError, FakeNccl::kAnyRank);
  run_gpu_ranks(
      2,
      [](NcclCommunicator& comm) {
        { const DeviceValues<float> freed(comm, Floats{1, 2}); }
        DeviceValues<float> values(comm, Floats{1, 2});
        comm.all_reduce(values.data(), 2, DType::kF32, ReduceOp::kSum)->wait();
        EXPECT_EQ(values.read(), (Floats{2, 4}));
      },
      kPatient, options);
  EXPECT_FALSE(nccl.is_pending("mem_free"));
  EXPECT_EQ(nccl.live_registrations(), 0);
  EXPECT_EQ(nccl.live_communicators(), 0);
}

// NCCL may still use a buffer that it does not deregister: the communicator has failed.
TEST(NcclCallFailures, ABufferThatCannotBeDeregisteredFailsItsCommunicator) {
  FakeNccl nccl;
  NcclOptions options = quick_options();
  options.registered_buffers = true;
  nccl.fail_next("comm_deregister", ncclSystemError);
  EXPECT_THAT(message_of<CommError>([&] {
                run_gpu_ranks(
                    2,
                    [](NcclCommunicator& comm) {
                      { const DeviceValues<float> freed(comm, Floats{1, 2}); }
                      comm.barrier();
                    },
                    kPatient, options);
              }),
              HasSubstr("ncclCommDeregister failed, fake error"));
  EXPECT_FALSE(nccl.is_pending("comm_deregister"));
  EXPECT_EQ(nccl.live_communicators(), 0);
}

// Its stream waits for a collective that never comes, and the thread that would notice frees it.
TEST(NcclCallFailures, ABufferWhoseStreamNeverEndsHoldsNobody) {
  FakeNccl nccl;
  NcclOptions options = quick_options();
  options.registered_buffers = true;
  EXPECT_EQ(message_of<Error>([&] {
              run_gpu_ranks(
                  2,
                  [](NcclCommunicator& comm) {
                    DeviceValues<float> kept(comm, Floats{1, 2});
                    {
                      const DeviceValues<float> freed(comm, Floats{1, 2});
                      comm.all_reduce(freed.data(), 2, DType::kF32, ReduceOp::kSum);
                    }
                    if (comm.rank() == 1) {
                      comm.host().barrier();
                      throw Error("disk full");
                    }
                    comm.all_reduce(kept.data(), 2, DType::kF32, ReduceOp::kSum)->wait();
                    comm.host().barrier();
                    comm.barrier();
                  },
                  {std::chrono::seconds(2)}, options);
            }),
            "disk full");
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST(NcclCallFailures, AnErrorWithoutATextIsStillNamed) {
  FakeNccl nccl;
  NcclApi silent = nccl_api();
  silent.get_error_string = [](ncclResult_t) -> const char* { return nullptr; };
  silent.get_last_error = [](ncclComm_t) -> const char* { return nullptr; };
  const ScopedNcclApi in_force(silent);
  nccl.fail_next("all_reduce", ncclSystemError);
  EXPECT_THAT(message_of<CommError>([] { run_gpu_ranks(3, use_everything); }),
              HasSubstr("ncclAllReduce failed, unknown error; "));
  EXPECT_EQ(nccl.live_communicators(), 0);
}

class CudaFailure : public ::testing::TestWithParam<const char*> {};

TEST_P(CudaFailure, OfAnyCallEndsEveryRank) {
  FakeNccl nccl;
  // The first streams and events of a process are made once: let them be there already.
  run_gpu_ranks(2, [](NcclCommunicator&) {});
  EXPECT_THROW(
      run_gpu_ranks(2,
                    [](NcclCommunicator& comm) {
                      comm.host().barrier();
                      if (comm.rank() == 0) {
                        FakeGpus::get().fail_next(GetParam(), cudaErrorIllegalAddress);
                      }
                      comm.host().barrier();
                      DeviceValues<float> values(comm, Floats{1, 2});
                      for (int i = 0; i < 100; ++i) {
                        comm.all_reduce(values.data(), 2, DType::kF32, ReduceOp::kSum)->wait();
                        comm.host().barrier();
                      }
                    },
                    {std::chrono::seconds(10)}),
      Error);
  EXPECT_EQ(nccl.live_communicators(), 0);
}

INSTANTIATE_TEST_SUITE_P(Calls, CudaFailure,
                         ::testing::Values("event_record", "stream_wait_event", "event_query",
                                           "stream_is_capturing", "memset_async", "memcpy_async"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace trireme
