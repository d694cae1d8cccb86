// Several host threads, each with a graph and guards of its own; and graphs that threads hand on.

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "core/autograd/anomaly.h"
#include "core/autograd/backward.h"
#include "core/autograd/checkpointing.h"
#include "core/autograd/no_grad.h"
#include "core/autograd/saved_tensor_hooks.h"
#include "core/ops/ops.h"
#include "tests/support/leaves.h"

namespace trireme {
namespace {

using testing::constant;
using testing::leaf;
using testing::values;

void on_threads(int count, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

TEST(Threads, RunTheirOwnGraphs) {
  const Tensor shared = constant({0.5, 0.25});  // read by all, without gradient
  on_threads(4, [&](int rank) {
    for (int step = 0; step < 50; ++step) {
      const Tensor x = leaf({1.0 + rank, 2});
      const auto region = [&](const std::vector<Tensor>& in) { return exp(in[0] * shared); };
      const Tensor y = checkpoint(region, {x});
      const Tensor first = grad({sum(y * y)}, {x}, {.create_graph = true})[0];
      backward(sum(first * first));
      // y = exp(c x), dy^2/dx = 2 c exp(2 c x) = g, dg^2/dx = 8 c^2 exp(2 c x) * 2 c exp(2 c x).
      const std::vector<double> at = values(x), c = values(shared), dx = values(x.grad());
      for (size_t i = 0; i < at.size(); ++i) {
        const double want = 16 * std::pow(c[i], 3) * std::exp(4 * c[i] * at[i]);
        EXPECT_NEAR(dx[i], want, 1e-12 * want);
      }
    }
  });
}

TEST(Threads, HaveTheirOwnGuards) {
  const NoGrad no_grad;
  const SavedTensorHooks hooks([](const Tensor&) -> SavedTensorHooks::Unpack {
    ADD_FAILURE() << "a hook of another thread";
    return {};
  });
  const AnomalyMode anomaly;
  on_threads(2, [](int) {
    EXPECT_TRUE(is_recording());
    EXPECT_EQ(detail::anomaly_mode, nullptr);
    const Tensor x = leaf({2});
    backward(sum(x * x));
    EXPECT_EQ(x.grad().item(), 4);
  });
  EXPECT_FALSE(is_recording());
}

TEST(Threads, MayRunBackwardOverAGraphThatAnotherRecorded) {
  const Tensor x = leaf({2});
  Tensor y;
  on_threads(1, [&](int) { y = sum(exp(x) * x); });
  std::vector<double> dx;
  on_threads(1, [&](int) {
    backward(y);
    y = Tensor();
    dx = values(x.grad());
  });
  EXPECT_DOUBLE_EQ(dx[0], std::exp(2) * 3);
}

}  // namespace
}  // namespace trireme
