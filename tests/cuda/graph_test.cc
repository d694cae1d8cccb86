#include "core/cuda/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "core/base/philox.h"
#include "core/cuda/graph_exec.h"
#include "core/cuda/memory.h"
#include "core/cuda/stream.h"
#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/transfer.h"
#include "tests/cuda/fake_device.h"

namespace trireme::cuda {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using trireme::testing::fake;
using trireme::testing::FakeDeviceGuard;

constexpr Device kGpu{DeviceType::kCuda, 0};
constexpr int64_t kMiB = 1 << 20;

std::string refusal_of(const std::function<void()>& step) {
  std::string message = "nothing was thrown";
  try {
    capture(0, step);
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_TRUE(fake().capturing.empty()) << "the stream was left capturing";
  return message;
}

TEST(CudaGraph, ReplaysWithOneCall) {
  FakeDeviceGuard guard;
  const Tensor x = empty({1000}, {DType::kF32, kGpu});
  const auto graph = capture(0, [&] {
    fill_inplace(x, 1);
    fill_inplace(x, 2);
  });
  EXPECT_EQ(graph->num_nodes(), fake().graph_nodes);
  const int launches = fake().call_count("launch_kernel");
  graph->replay();
  graph->replay();
  EXPECT_EQ(fake().call_count("graph_launch"), 2);
  EXPECT_EQ(fake().call_count("launch_kernel"), launches);
}

TEST(CudaGraph, MemoryFreedInTheStepServesItAgain) {
  FakeDeviceGuard guard;
  void* first = nullptr;
  void* second = nullptr;
  const auto graph = capture(0, [&] {
    first = allocate(4 * kMiB, 0);
    free(first, 0);
    second = allocate(4 * kMiB, 0);
    free(second, 0);
  });
  EXPECT_EQ(first, second);
  EXPECT_TRUE(fake().blocks.contains(first)) << "the graph needs it";
}

TEST(CudaGraph, KeepsItsMemoryAsLongAsAResultLives) {
  FakeDeviceGuard guard;
  void* freed = nullptr;
  Tensor result;
  auto graph = capture(0, [&] {
    const Tensor temporary = empty({kMiB}, {DType::kF32, kGpu});
    freed = temporary.raw_data();
    result = empty({kMiB}, {DType::kF32, kGpu});
  });
  graph->replay();
  graph = nullptr;
  EXPECT_TRUE(fake().blocks.contains(result.raw_data()));
  EXPECT_TRUE(fake().blocks.contains(freed));
  void* const data = result.raw_data();
  result = Tensor();
  EXPECT_FALSE(fake().blocks.contains(data));
  EXPECT_FALSE(fake().blocks.contains(freed));
}

TEST(CudaGraph, ABlockFromBeforeThatTheStepFreesStaysForTheReplays) {
  FakeDeviceGuard guard;
  Tensor before = empty({kMiB}, {DType::kF32, kGpu});
  void* const data = before.raw_data();
  auto graph = capture(0, [&] { before = Tensor(); });
  EXPECT_TRUE(fake().blocks.contains(data));
  graph = nullptr;
  EXPECT_FALSE(fake().blocks.contains(data));
}

// A thread that looks after work of before may drop the last handle of its memory at any time.
TEST(CudaGraph, ABlockThatAnotherThreadFreesMeanwhileStaysForTheReplays) {
  FakeDeviceGuard guard;
  Tensor before = empty({kMiB}, {DType::kF32, kGpu});
  void* const data = before.raw_data();
  auto graph = capture(0, [&] { std::thread([&] { before = Tensor(); }).join(); });
  EXPECT_TRUE(fake().blocks.contains(data));
  graph = nullptr;
  EXPECT_FALSE(fake().blocks.contains(data));
}

TEST(CudaGraph, ReleasingCachedMemoryLeavesTheCapturedStreamAlone) {
  FakeDeviceGuard guard;
  void* const small = allocate(1000, 0);
  free(small, 0);  // cached
  const auto graph = capture(0, [&] { release_cached_memory(0); });
  EXPECT_TRUE(fake().blocks.contains(small));
  release_cached_memory(0);
  EXPECT_FALSE(fake().blocks.contains(small));
}

/// Writes down what it hears.
class Listener : public ReplayListener {
 public:
  explicit Listener(std::vector<std::string>& heard) : heard_(heard) {}
  ~Listener() override { heard_.push_back("gone"); }
  void before_replay(cudaStream_t) override {
    heard_.push_back(concat("before replay ", fake().call_count("graph_launch")));
    if (refuses) throw Error("not now");
  }
  void after_replay(cudaStream_t) noexcept override {
    heard_.push_back(concat("after replay ", fake().call_count("graph_launch")));
  }
  bool refuses = false;

 private:
  std::vector<std::string>& heard_;
};

TEST(CudaGraph, ListenersHearOfReplaysAndMayRefuseThem) {
  FakeDeviceGuard guard;
  std::vector<std::string> heard;
  auto refusing = std::make_shared<Listener>(heard);
  auto graph = capture(0, [&] {
    captured_exec()->listen(std::make_shared<Listener>(heard));
    captured_exec()->listen(refusing);
  });
  graph->replay();
  EXPECT_THAT(std::exchange(heard, {}), ElementsAre("before replay 0", "before replay 0",
                                                    "after replay 1", "after replay 1"));
  refusing->refuses = true;
  EXPECT_THROW(graph->replay(), Error);
  EXPECT_EQ(fake().call_count("graph_launch"), 1);
  EXPECT_THAT(std::exchange(heard, {}),
              ElementsAre("before replay 1", "before replay 1", "after replay 1"));
  refusing->refuses = false;
  fake().fail_next["graph_launch"] = cudaErrorLaunchFailure;
  EXPECT_THROW(graph->replay(), CudaError);
  EXPECT_THAT(std::exchange(heard, {}), ElementsAre("before replay 1", "before replay 1",
                                                    "after replay 2", "after replay 2"));
  refusing = nullptr;
  EXPECT_THAT(heard, ElementsAre());
  graph = nullptr;
  EXPECT_THAT(heard, ElementsAre("gone", "gone"));
}

TEST(CudaGraph, IsNotReplayedOnceItHasEnded) {
  FakeDeviceGuard guard;
  std::shared_ptr<GraphExec> exec;
  const auto graph = capture(0, [&] { exec = captured_exec(); });
  exec->end();
  EXPECT_EQ(fake().call_count("graph_exec_destroy"), 1);
  EXPECT_THROW(graph->replay(), CudaError);
  exec->end();
  EXPECT_EQ(fake().call_count("graph_exec_destroy"), 1);
  // What ends while it is captured is never made.
  const auto other = capture(0, [] { captured_exec()->end(); });
  EXPECT_EQ(fake().call_count("graph_instantiate"), 1);
  EXPECT_THROW(other->replay(), CudaError);
}

TEST(CudaGraph, RefusesToWait) {
  FakeDeviceGuard guard;
  const Tensor x = empty({1}, {DType::kF32, kGpu});
  EXPECT_THAT(refusal_of([&] { x.item(); }),
              AllOf(HasSubstr("capture: the step cannot be captured"), HasSubstr("item()")));
  EXPECT_THAT(refusal_of([&] { synchronize(0); }), HasSubstr("synchronize"));
  EXPECT_THAT(refusal_of([&] { DelayedScalar().set(x); }), HasSubstr("behind the step"));
}

TEST(CudaGraph, RefusesInputThatIsCopiedInsideTheStep) {
  FakeDeviceGuard guard;
  EXPECT_THAT(refusal_of([] { from_vector<float>({1}, {1}, kGpu); }),
              HasSubstr("copy into a tensor that the step reads"));
}

TEST(CudaGraph, RefusesRandomNumbers) {
  FakeDeviceGuard guard;
  Generator generator(1);
  EXPECT_THAT(refusal_of([&] { generator.reserve(4); }), HasSubstr("leave dropout out of it"));
  EXPECT_NO_THROW(generator.reserve(4));
}

TEST(CudaGraph, RefusesMemoryOnAnotherStream) {
  FakeDeviceGuard guard;
  const Stream other(0);
  EXPECT_THAT(refusal_of([&] {
                const StreamGuard current(other);
                allocate(kMiB, 0);
              }),
              HasSubstr("allocate on the step's own stream"));
}

TEST(CudaGraph, RefusesAnEmptyStepAndWhatTheDriverRefuses) {
  FakeDeviceGuard guard;
  fake().graph_nodes = 0;
  EXPECT_THAT(refusal_of([] {}), HasSubstr("queued nothing"));
  fake().graph_nodes = 1;
  fake().fail_next["stream_end_capture"] = cudaErrorStreamCaptureUnjoined;
  EXPECT_THAT(refusal_of([] {}), HasSubstr("cudaErrorStreamCaptureUnjoined"));
  fake().fail_next["graph_instantiate"] = cudaErrorNotSupported;
  EXPECT_THAT(refusal_of([] {}), HasSubstr("the driver refused its graph"));
}

TEST(CudaGraph, AnErrorOfTheStepItselfPassesThrough) {
  FakeDeviceGuard guard;
  EXPECT_EQ(refusal_of([] { fail("matmul", "inner dimensions differ"); }),
            "matmul: inner dimensions differ");
}

TEST(CudaGraph, AReplayOnAnotherStreamWaitsForTheLast) {
  FakeDeviceGuard guard;
  const auto graph = capture(0, [] {});
  graph->replay();
  const Stream other(0);
  fake().order.clear();
  {
    const StreamGuard current(other);
    graph->replay();
  }
  EXPECT_EQ(fake().order.size(), 2u);
  EXPECT_THAT(fake().order[1], HasSubstr(concat("on ", trireme::testing::number_of(other.get()))));
}

}  // namespace
}  // namespace trireme::cuda
