// A product that meets GELU, forward and backward, and the choice between epilogue and passes.

#include "kernels/matmul_gelu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/epilogue_choice.h"
#include "tests/kernels/host_device.h"

namespace trireme::kernels {
namespace {

double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
std::vector<double> draw(int64_t count, double seed) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(double(i) * 1.3 + seed);
  return values;
}

TEST(MatmulGelu, BackwardIsTheDerivativeOfForward) {
  constexpr int64_t kRows = 5, kIn = 3, kOut = 4, kNext = 2;
  auto x = draw(kRows * kIn, 1), w = draw(kIn * kOut, 2), bias = draw(kOut, 3);
  const auto w2 = draw(kOut * kNext, 4), dz = draw(kRows * kNext, 5);
  std::vector<double> pre(kRows * kOut), y = pre, dpre = pre, dbias(kOut);
  const auto forward = [&] {
    matmul_gelu(Cpu{}, StridedView<const double>{x.data(), {kRows, kIn}, {kIn, 1}},
                StridedView<const double>{w.data(), {kIn, kOut}, {kOut, 1}}, bias.data(),
                MatrixView<double>{pre.data(), kRows, kOut, kOut},
                MatrixView<double>{y.data(), kRows, kOut, kOut});
    double loss = 0;  // sum of (y w2) dz
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t o = 0; o < kOut; ++o) {
        for (int64_t n = 0; n < kNext; ++n) {
          loss += y[size_t(r * kOut + o)] * w2[size_t(o * kNext + n)] * dz[size_t(r * kNext + n)];
        }
      }
    }
    return loss;
  };
  forward();
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], gelu(pre[i]), 1e-12);
  const std::vector<double> kept = pre;
  matmul_gelu_backward(Cpu{}, StridedView<const double>{dz.data(), {kRows, kNext}, {kNext, 1}},
                       StridedView<const double>{w2.data(), {kNext, kOut}, {1, kNext}},
                       MatrixView<const double>{kept.data(), kRows, kOut, kOut},
                       MatrixView<double>{dpre.data(), kRows, kOut, kOut}, dbias.data());
  for (size_t o = 0; o < bias.size(); ++o) {
    const double before = bias[o], step = 1e-6;
    bias[o] = before + step;
    const double above = forward();
    bias[o] = before - step;
    const double below = forward();
    bias[o] = before;
    EXPECT_NEAR(dbias[o], (above - below) / (2 * step), 1e-8);
  }
}

TEST(EpilogueChoice, RunsWhatWasFasterWithoutTimingItAgain) {
  int fused = 0, passes = 0;
  std::vector<double> times{1.0, 2.0};  // of the epilogue, of the passes
  size_t next = 0;
  testing::HostDevice device([&] { return times[next++ % 2]; });
  EpilogueChoice choice(device, true);
  const auto run = [&](int64_t key) {
    fused = passes = 0;
    choice.run(
        {key}, nullptr, [&] { ++fused; }, [&] { ++passes; });
  };
  run(1);
  EXPECT_EQ(device.timings, 2);
  run(1);
  EXPECT_EQ(device.timings, 2);
  EXPECT_EQ(fused, 1);
  EXPECT_EQ(passes, 0);

  times = {2.0, 1.0};  // another shape, where the epilogue loses
  run(2);
  run(2);
  EXPECT_EQ(device.timings, 4);
  EXPECT_EQ(fused, 0);
  EXPECT_EQ(passes, 1);

  device.is_capturing = true;
  run(3);
  EXPECT_EQ(device.timings, 4);
  EXPECT_EQ(passes, 1);
}

TEST(EpilogueChoice, WithoutTuningTimesNothing) {
  testing::HostDevice device([] { return 1.0; });
  EpilogueChoice choice(device, false);
  int fused = 0, passes = 0;
  choice.run(
      {1}, nullptr, [&] { ++fused; }, [&] { ++passes; });
  EXPECT_EQ(fused, 1);
  EXPECT_EQ(passes, 0);
  EXPECT_EQ(device.timings, 0);
}

}  // namespace
}  // namespace trireme::kernels
