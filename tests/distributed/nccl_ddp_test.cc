// Data parallelism over fake GPUs. Only two kernels run there, dense copies and fills of f32, so
// the model's gradients are given; what is proven is where they go, when, and that nothing else
// happens.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "core/autograd/attach.h"
#include "core/autograd/backward.h"
#include "core/autograd/gradient_home.h"
#include "core/autograd/hooks.h"
#include "core/cuda/memory.h"
#include "core/nn/module.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "distributed/ddp.h"
#include "tests/support/message_of.h"
#include "tests/support/nccl_ranks.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using testing::FakeGpus;
using testing::FakeNccl;
using ::testing::HasSubstr;
using testing::message_of;
using testing::run_gpu_ranks;

constexpr int64_t kSize = 64;  // elements of each parameter

/// Parameters whose gradients are given: with loss(g), parameter i gets g + i in every element.
/// Each backward step of it is a logged "kernel" on the current stream, last parameter first.
struct GivenGradients : Module {
  GivenGradients(int count, Device device, float value = 0) {
    for (int i = 0; i < count; ++i) {
      const std::vector<float> values(kSize, value);
      parameters.push_back(from_vector(values, {kSize}, device).set_requires_grad());
      register_parameter(concat("p", i), parameters.back());
    }
  }

  /// `skip`: a parameter that the loss does not use.
  Tensor loss(float g, int skip = -1) const {
    Tensor y = scalar(0);
    for (int i = 0; i < static_cast<int>(parameters.size()); ++i) {
      if (i == skip) continue;
      const Tensor& p = parameters[static_cast<size_t>(i)];
      const auto of_p = [g, i, device = p.device(), home = GradientHome(p)](const Tensor&) {
        FakeGpus::get().run_on(cuda::current_stream(device.index), [i, device] {
          FakeGpus::get().log(concat("gpu ", int{device.index}, ": gradient ", i));
        });
        const Tensor gradient = home.empty({kSize}, {DType::kF32, device});
        fill_inplace(gradient, g + static_cast<float>(i));
        return gradient;
      };
      const Tensor previous = y;
      y = attach("given", scalar(0), wrt(p, of_p),
                 wrt(previous, [](const Tensor& dy) { return dy; }));
    }
    return y;
  }

  std::vector<Tensor> parameters;
};

class NcclDdp : public ::testing::Test {
 protected:
  NcclDdp() { FakeGpus::get().set_kernel(testing::copy_or_fill); }
  FakeNccl nccl;  // first: it resets the GPUs
};

constexpr int64_t kBytes = kSize * 4;
// A bucket for every parameter.
constexpr ReducerOptions kOneEach{.sizes = {kBytes, kBytes, kBytes}};

std::vector<float> gradient_of(const Tensor& p) { return p.grad().to_vector<float>(); }

TEST_F(NcclDdp, RanksWithPartsOfABatchEqualOneWithTheWhole) {
  constexpr int kRanks = 4;
  run_gpu_ranks(kRanks, [](NcclCommunicator& comm) {
    GivenGradients model(3, comm.device(), static_cast<float>(comm.rank()));
    DistributedDataParallel ddp(model, comm, kOneEach);
    // Rank 0's values are everybody's.
    for (const Tensor& p : model.parameters) EXPECT_THAT(p.to_vector<float>(), Each(0));
    for (int step = 0; step < 3; ++step) {
      // Rank r's share of the batch has the mean gradient r; the whole has 1.5.
      ddp.backward(model.loss(static_cast<float>(comm.rank() + step)));
      for (int i = 0; i < 3; ++i) {
        EXPECT_THAT(gradient_of(model.parameters[static_cast<size_t>(i)]),
                    Each(1.5F + static_cast<float>(i + step)));
      }
      for (Tensor& p : model.parameters) p.zero_grad();
    }
    ddp.check_replicas();
  });
}

TEST_F(NcclDdp, ABucketsAllReduceIsLaunchedBeforeBackwardGoesOn) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GivenGradients model(3, comm.device());
    DistributedDataParallel ddp(model, comm, kOneEach);
    ddp.backward(model.loss(1));  // plans the buckets
    comm.barrier();
    comm.host().barrier();
    if (comm.rank() == 0) FakeGpus::get().take_log();
    comm.host().barrier();

    // The first gradient's all-reduce ends before the last gradient's kernel begins: that kernel
    // waits for it, which a reducer that only starts at the end could never satisfy.
    const cudaStream_t stream = cuda::current_stream(comm.device().index);
    std::shared_ptr<std::promise<void>> reduced = std::make_shared<std::promise<void>>();
    const auto hook =
        register_accumulate_hook(model.parameters[1], [&, future = reduced->get_future().share()] {
          // Between the second and the third gradient.
          FakeGpus::get().run_on(stream, [future] { future.wait(); });
        });
    std::thread watcher([&, rank = comm.rank()] {
      const std::string end = concat("rank ", rank, ": collective ");
      while (true) {
        for (const std::string& line : FakeGpus::get().peek_log()) {
          if (line.starts_with(end) && line.ends_with("ends")) return reduced->set_value();
        }
        std::this_thread::yield();
      }
    });
    ddp.backward(model.loss(2));
    EXPECT_THAT(gradient_of(model.parameters[0]), Each(2));
    watcher.join();
  });
}

/// What the GPUs and hosts of all ranks are asked for.
struct Counts {
  int kernels, memsets, host_waits;
  static Counts now() {
    const auto& gpus = FakeGpus::get();
    return {gpus.kernels(), gpus.memsets(), gpus.host_waits()};
  }
  friend Counts operator-(const Counts& a, const Counts& b) {
    return {a.kernels - b.kernels, a.memsets - b.memsets, a.host_waits - b.host_waits};
  }
  bool operator==(const Counts&) const = default;
};

/// What five steps of `backward` cost on all ranks together, by rank 0's count.
Counts cost_of(GivenGradients& model, Communicator& comm,
               const std::function<void(const Tensor&)>& backward) {
  backward(model.loss(1));  // plans buckets
  comm.barrier();
  comm.host().barrier();
  const Counts before = Counts::now();
  comm.host().barrier();
  for (int step = 0; step < 5; ++step) {
    for (Tensor& p : model.parameters) p.zero_grad();
    backward(model.loss(1));
  }
  comm.host().barrier();
  const Counts cost = Counts::now() - before;
  comm.host().barrier();
  return cost;
}

TEST_F(NcclDdp, TheDensePathAddsNothingButTheCollectives) {
  run_gpu_ranks(2, [&](NcclCommunicator& comm) {
    GivenGradients model(4, comm.device());
    const Counts plain = cost_of(model, comm, [](const Tensor& loss) { backward(loss); });
    EXPECT_EQ(plain, (Counts{2 * 5 * 4, 0, 0})) << "each gradient is written by one kernel";
    DistributedDataParallel ddp(model, comm, kOneEach);
    const int64_t operations = comm.stats().operations;
    EXPECT_EQ(cost_of(model, comm, [&](const Tensor& loss) { ddp.backward(loss); }), plain);
    EXPECT_EQ(comm.stats().operations - operations, 6 * 4);
  });
}

TEST_F(NcclDdp, AnUnusedParameterIsAnErrorOnEveryRankThatNamesTheUsers) {
  run_gpu_ranks(3, [](NcclCommunicator& comm) {
    GivenGradients model(2, comm.device());
    DistributedDataParallel ddp(model, comm, kOneEach);
    EXPECT_THAT(message_of<InvalidArgument>(
                    [&] { ddp.backward(model.loss(1, comm.rank() == 1 ? 0 : -1)); }),
                AllOf(HasSubstr("p0: used on rank 0, 2"), HasSubstr("kAllow")));
    // All ranks saw it alike and may go on.
    ddp.backward(model.loss(4));
    EXPECT_THAT(gradient_of(model.parameters[0]), Each(4));
  });
}

TEST_F(NcclDdp, AllowedUnusedParametersKeepNoGradientIfNobodyUsedThem) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GivenGradients model(3, comm.device());
    DistributedDataParallel ddp(model, comm,
                                {.sizes = kOneEach.sizes, .unused = UnusedParameters::kAllow});
    ddp.backward(model.loss(2, 1));
    EXPECT_FALSE(model.parameters[1].grad().defined());
    EXPECT_THAT(gradient_of(model.parameters[0]), Each(2));
    EXPECT_THAT(gradient_of(model.parameters[2]), Each(4));
    for (Tensor& p : model.parameters) p.zero_grad();
    ddp.backward(model.loss(2, comm.rank() == 0 ? 1 : -1));
    EXPECT_TRUE(model.parameters[1].grad().defined());
  });
}

TEST_F(NcclDdp, AccumulatesLocallyBeforeItReduces) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GivenGradients model(2, comm.device());
    DistributedDataParallel ddp(model, comm, kOneEach);
    const int64_t before = comm.stats().operations;
    {
      const auto local = ddp.no_sync();
      ddp.backward(model.loss(1));
    }
    EXPECT_EQ(comm.stats().operations, before);
  });
}

TEST_F(NcclDdp, AModuleOnTheWrongDeviceIsNamed) {
  run_gpu_ranks(2, [](NcclCommunicator& comm) {
    GivenGradients model(1, Device{});
    EXPECT_THAT(message_of<InvalidArgument>([&] { DistributedDataParallel(model, comm); }),
                AllOf(HasSubstr("p0 is on cpu"), HasSubstr(concat("cuda:", comm.rank()))));
  });
}

TEST_F(NcclDdp, OneGpuAloneUsesNoNcclAndNoBuckets) {
  run_ranks(1, DeviceType::kCuda, [](Communicator& comm) {
    GivenGradients model(2, comm.device());
    const Counts plain = cost_of(model, comm, [](const Tensor& loss) { backward(loss); });
    DistributedDataParallel ddp(model, comm, kOneEach);
    EXPECT_EQ(cost_of(model, comm, [&](const Tensor& loss) { ddp.backward(loss); }), plain);
    EXPECT_TRUE(ddp.reducer().buckets().empty());
    EXPECT_THAT(gradient_of(model.parameters[1]), Each(2));
    EXPECT_STREQ(comm.backend(), "local");
  });
  EXPECT_EQ(nccl.live_communicators(), 0);
}

TEST_F(NcclDdp, MemoryIsCountedByWhatItIsFor) {
  for (const bool registered : {false, true}) {
    NcclOptions options = testing::quick_options();
    options.registered_buffers = registered;
    run_gpu_ranks(
        2,
        [](NcclCommunicator& comm) {
          const auto bytes_of = [&](MemoryKind kind) {
            return cuda::memory_stats(comm.device().index)
                .allocated_bytes[static_cast<size_t>(kind)];
          };
          const int64_t gradients = bytes_of(MemoryKind::kGradients);
          const int64_t communication = bytes_of(MemoryKind::kCommunication);
          GivenGradients model(2, comm.device());
          {
            DistributedDataParallel ddp(model, comm);
            EXPECT_GE(bytes_of(MemoryKind::kGradients) - gradients, 2 * kBytes);
            ddp.backward(model.loss(1));
            const auto other = comm.allocate(4096);
            EXPECT_EQ(bytes_of(MemoryKind::kCommunication) - communication, 4096);
            comm.barrier();
            for (Tensor& p : model.parameters) p.zero_grad();
          }
          EXPECT_EQ(bytes_of(MemoryKind::kGradients), gradients);
          EXPECT_EQ(bytes_of(MemoryKind::kCommunication), communication);
        },
        testing::kPatient, options);
  }
}

}  // namespace
}  // namespace trireme
