#include "core/autograd/checkpointing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/amp/autocast.h"
#include "core/autograd/backward.h"
#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "core/tensor/allocator.h"
#include "tests/support/leaves.h"
#include "tests/support/message_of.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::leaf;
using testing::message_of;
using testing::test_device;
using testing::values;
using Tensors = std::vector<Tensor>;

/// Gradients of x and w through `region`, and how often it ran.
struct Outcome {
  std::vector<double> dx, dw;
  int runs = 0;
};

Outcome through(bool checkpointed, const std::function<Tensor(const Tensor&, const Tensor&)>& fn) {
  Outcome outcome;
  const Tensor x = leaf({0.5, -0.25, 1}), w = leaf({2, 3, 4});
  const auto region = [&](const Tensors& in) {
    ++outcome.runs;
    return fn(in[0], w);
  };
  const Tensor h = tanh(x);
  const Tensor y = checkpointed ? checkpoint(region, {h}) : region({h});
  backward(sum(y * y));
  outcome.dx = values(x.grad());
  outcome.dw = values(w.grad());
  return outcome;
}

TEST(Checkpoint, GivesTheSameGradientsFromASecondRun) {
  const auto fn = [](const Tensor& h, const Tensor& w) { return exp(h * w) * sin(w); };
  const Outcome plain = through(false, fn), again = through(true, fn);
  EXPECT_EQ(again.dx, plain.dx);
  EXPECT_EQ(again.dw, plain.dw);
  EXPECT_EQ(plain.runs, 1);
  EXPECT_EQ(again.runs, 2);
}

TEST(Checkpoint, StopsWhenTheLastWantedTensorIsThere) {
  int reached = 0;
  const auto fn = [&](const Tensor& h, const Tensor& w) {
    const Tensor y = exp(h * w);
    ++reached;  // the second run has all it needs before this
    return y + w;
  };
  through(true, fn);
  EXPECT_EQ(reached, 1);
}

TEST(Checkpoint, Nests) {
  int inner_runs = 0;
  const auto block = [&](const Tensor& h, const Tensor& w) {
    const auto inner = [&](const Tensors& in) {
      ++inner_runs;
      return sin(exp(in[0]) * w);
    };
    return exp(checkpoint(inner, {h * w})) * w;
  };
  const auto flat = [](const Tensor& h, const Tensor& w) { return exp(sin(exp(h * w) * w)) * w; };
  const Outcome plain = through(false, flat), nested = through(true, block);
  EXPECT_EQ(nested.dx, plain.dx);
  EXPECT_EQ(nested.dw, plain.dw);
  EXPECT_EQ(inner_runs, 3) << "first, inside the outer region's second run, for its own tensors";
}

TEST(Checkpoint, DrawsTheSameRandomNumbersAndMovesNoGenerator) {
  const auto run = [](bool checkpointed, Generator& generator) {
    const Tensor x = leaf(std::vector<double>(64, 1.5));
    const auto region = [&](const Tensors& in) {
      Generator own(7);  // does not live until backward
      return square(dropout(square(dropout(in[0], 0.5, generator)), 0.25, own));
    };
    const Tensor y = checkpointed ? checkpoint(region, {x}) : region({x});
    const Tensor z = dropout(y, 0.5, generator);
    generator.reserve(1000);  // backward must not care
    backward(sum(z));
    return values(x.grad());
  };
  Generator a(3), b(3);
  EXPECT_EQ(run(true, a), run(false, b));
  EXPECT_EQ(a.offset(), b.offset());
}

// Tapes of random numbers in tapes, three deep, with draws before, between and behind the regions.
TEST(Checkpoint, NestedRegionsDrawTheSameRandomNumbers) {
  const auto run = [](bool checkpointed, Generator& generator) {
    const auto region = [&](const auto& fn, const Tensor& h) {
      return checkpointed ? checkpoint(fn, {h}) : fn({h});
    };
    const auto drop = [&](const Tensor& h) { return tanh(dropout(h, 0.1, generator)); };
    const auto inner = [&](const Tensors& in) { return drop(drop(in[0])); };
    const auto middle = [&](const Tensors& in) {
      return drop(region(inner, drop(region(inner, in[0]))));
    };
    const auto outer = [&](const Tensors& in) { return drop(region(middle, drop(in[0]))); };
    const Tensor x = leaf(std::vector<double>(256, 1.0));
    Tensor y = region(outer, x);
    y = region(outer, drop(y));
    backward(sum(y));
    return values(x.grad());
  };
  Generator a(3), b(3);
  const std::vector<double> plain = run(false, b);
  EXPECT_EQ(run(true, a), plain);
  EXPECT_EQ(a.offset(), b.offset());
  EXPECT_GT(*std::max_element(plain.begin(), plain.end()), 0);
}

TEST(Checkpoint, ComputesAgainInThePrecisionOfForward) {
  const auto run = [](bool checkpointed) {
    const Tensor x = full({4, 8}, 0.3, {DType::kF32, test_device()}).set_requires_grad();
    const Tensor w = full({8, 4}, 0.7, {DType::kF32, test_device()}).set_requires_grad();
    const auto region = [&](const Tensors& in) {
      const Tensor h = matmul(in[0], w);
      EXPECT_EQ(h.dtype(), DType::kBF16);
      return exp(matmul(h, transpose(w, 0, 1)));
    };
    Tensor y;
    {
      const Autocast autocast(DType::kBF16);
      y = checkpointed ? checkpoint(region, {x}) : region({x});
    }
    backward(sum(y));
    return std::pair{values(x.grad()), values(w.grad())};
  };
  EXPECT_EQ(run(true), run(false));
}

TEST(Checkpoint, RunsAgainForEveryBackwardOverARetainedGraph) {
  int runs = 0;
  const Tensor x = leaf({2});
  const auto region = [&](const Tensors& in) { return ++runs, exp(in[0] * in[0]); };
  const Tensor y = sum(checkpoint(region, {x}));
  backward(y, {.retain_graph = true});
  backward(y);
  EXPECT_EQ(runs, 3);
  EXPECT_DOUBLE_EQ(x.grad().item(), 2 * 4 * std::exp(4));
}

TEST(Checkpoint, CanBeDifferentiatedTwice) {
  const Tensor x = leaf({2});
  const auto region = [](const Tensors& in) { return in[0] * in[0] * in[0]; };
  const Tensor y = sum(checkpoint(region, {x * 1.0}));
  const Tensor first = grad({y}, {x}, {.create_graph = true})[0];
  EXPECT_THAT(values(first), ElementsAre(12));
  EXPECT_THAT(values(grad({first}, {x})[0]), ElementsAre(12));
}

TEST(Checkpoint, GivesSeveralResultsAndRunsAgainOnceForAll) {
  int runs = 0;
  const Tensor x = leaf({2});
  const auto region = [&](const Tensors& in) {
    ++runs;
    return Tensors{square(in[0]), exp(in[0])};
  };
  const Tensors y = checkpoint(region, {x});
  backward(sum(y[0] + y[1]));
  EXPECT_EQ(runs, 2);
  EXPECT_DOUBLE_EQ(x.grad().item(), 4 + std::exp(2));
}

TEST(Checkpoint, ABackwardInsideTheRegionWorksInBothRuns) {
  const Tensor x = leaf({2});
  const auto region = [](const Tensors& in) {
    const Tensor slope = grad({sum(square(in[0]))}, {in[0]})[0];
    return exp(in[0]) * slope;
  };
  backward(sum(checkpoint(region, {x})));
  EXPECT_DOUBLE_EQ(x.grad().item(), std::exp(2) * 4) << "slope is a constant to it";
}

TEST(Checkpoint, RefusesAFunctionThatDoesSomethingElseTheSecondTime) {
  const Tensor x = leaf({2, 3, 4});
  int runs = 0;
  const auto fewer = [&](const Tensors& in) {
    return ++runs == 1 ? exp(exp(in[0])) : exp(in[0]) + 0.0;
  };
  EXPECT_THAT(
      message_of([&] { backward(sum(checkpoint(fewer, {x}))); }),
      HasSubstr("checkpoint: the function kept 2 tensors for backward when it ran first, but "
                "fewer when it ran again"));
  runs = 0;
  const auto other_shape = [&](const Tensors& in) {
    return exp(slice(in[0], 0, 0, ++runs == 1 ? 2 : 1));
  };
  EXPECT_THAT(message_of([&] { backward(sum(checkpoint(other_shape, {x}))); }),
              HasSubstr("was f64[2] on "));
  Generator generator(1);
  runs = 0;
  const auto other_draws = [&](const Tensors& in) {
    if (++runs == 2) generator.reserve(17);
    return square(dropout(in[0], 0.5, generator));
  };
  EXPECT_THAT(message_of([&] { backward(sum(checkpoint(other_draws, {x}))); }),
              HasSubstr("drew other random numbers when it ran again, at draw 1 of 1"));
}

TEST(Checkpoint, RefusesAnUndefinedResult) {
  const std::function<Tensor(const Tensors&)> nothing = [](const Tensors&) { return Tensor(); };
  const Tensor x = leaf({1, 2});
  const auto said = [&] { return message_of([&] { checkpoint(nothing, {x}); }); };
  EXPECT_EQ(said(), "checkpoint: the result of the function is undefined");
  const NoGrad guard;
  EXPECT_EQ(said(), "checkpoint: the result of the function is undefined");
}

TEST(Checkpoint, NoticesThatItsInputWasChanged) {
  const Tensor x = leaf({2}), c = testing::constant({3});
  const auto region = [&](const Tensors& in) { return exp(in[0] * in[1]); };
  const Tensor y = checkpoint(region, {x, c});
  fill_inplace(c, 0);
  EXPECT_THAT(message_of([&] { backward(sum(y)); }), HasSubstr("changed in place"));
}

TEST(Checkpoint, IsThePlainCallWhereNothingIsRecorded) {
  const NoGrad no_grad;
  int runs = 0;
  const auto region = [&](const Tensors& in) { return ++runs, exp(in[0]); };
  EXPECT_FALSE(checkpoint(region, {leaf({2})}).requires_grad());
  EXPECT_EQ(runs, 1);
}

// With a stack frame per region this would need more than a thread's stack.
TEST(Checkpoint, ManyRegionsInARowNeitherRunNorDieRecursively) {
  constexpr int kRegions = 100'000;
  const Tensor x = leaf({1});
  const auto region = [](const Tensors& in) { return square(in[0]); };
  Tensor y = x;
  for (int i = 0; i < kRegions; ++i) y = checkpoint(region, {y});
  backward(y);
  EXPECT_EQ(x.grad().item(), std::pow(2.0, kRegions));  // infinity
  y = x;
  for (int i = 0; i < kRegions; ++i) y = checkpoint(region, {y});
}

TEST(Checkpoint, LowersThePeakOfActivations) {
  if (!test_device().is_cpu()) GTEST_SKIP() << "counts the host's memory";
  constexpr int kBlocks = 16, kOps = 8;
  constexpr int64_t kElements = 64 * 1024, kBytes = kElements * 8;
  const auto block = [](const Tensors& in) {
    Tensor h = in[0];
    for (int i = 0; i < kOps; ++i) h = sin(h);  // each keeps its operand
    return h;
  };
  struct Use {
    double after_forward, peak;  // in tensors of one activation
  };
  const auto use = [&](bool checkpointed) {
    const auto kind = static_cast<size_t>(MemoryKind::kActivations);
    const Tensor x = full({kElements}, 0.5, {DType::kF64}).set_requires_grad();
    reset_peak_memory();
    const MemoryStats before = memory_stats();
    Tensor h = x;
    for (int i = 0; i < kBlocks; ++i) h = checkpointed ? checkpoint(block, {h}) : block({h});
    const int64_t kept = memory_stats().allocated_bytes[kind] - before.allocated_bytes[kind];
    backward(sum(h));
    const int64_t most = memory_stats().peak_allocated_bytes - before.total_allocated_bytes;
    return Use{static_cast<double>(kept) / kBytes, static_cast<double>(most) / kBytes};
  };
  const Use plain = use(false), again = use(true);
  EXPECT_GE(plain.after_forward, kBlocks * kOps - 1);
  EXPECT_LE(again.after_forward, kBlocks + 1) << "the inputs of the blocks";
  EXPECT_GE(plain.peak, kBlocks * kOps - 1);
  // One block's activations beside them, and the few gradients that are alive.
  EXPECT_LE(again.peak, kBlocks + kOps + 5);
}

}  // namespace
}  // namespace trireme
