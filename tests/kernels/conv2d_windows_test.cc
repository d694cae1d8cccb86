// The index arithmetic of gathered windows equals the CPU's convolution.

#include "kernels/conv2d_windows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace trireme::kernels {
namespace {

std::vector<double> draw(int64_t count, double seed) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(double(i) * 1.3 + seed);
  return values;
}

void check(const Conv2dGeometry& g) {
  const int64_t in = g.in_channels / g.groups, out = g.out_channels / g.groups;
  const auto x = draw(g.batch * g.height * g.width * g.in_channels, 1);
  const auto w = draw(g.out_channels * g.kernel_h * g.kernel_w * in, 2);
  const auto dy = draw(g.batch * g.out_height() * g.out_width() * g.out_channels, 3);
  std::vector<double> y(dy.size()), dx(x.size()), want_y = y, want_dx = dx;
  conv2d(Cpu{}, g, x.data(), w.data(), static_cast<const double*>(nullptr), want_y.data());
  conv2d_input_gradient(Cpu{}, g, dy.data(), w.data(), static_cast<const double*>(nullptr),
                        want_dx.data());
  for (int64_t group = 0; group < g.groups; ++group) {
    const Windows2d windows(g, g.batch, group);
    const int64_t width = windows.window();
    std::vector<double> columns(static_cast<size_t>(windows.pixels() * width));
    for (int64_t p = 0; p < windows.pixels(); ++p) {
      for (int64_t o = group * out; o < (group + 1) * out; ++o) {
        for (int64_t i = 0; i < width; ++i) {
          const int64_t from = windows.source_of(p * width + i);
          if (from >= 0) {
            y[size_t(p * g.out_channels + o)] += x[size_t(from)] * w[size_t(o * width + i)];
          }
          columns[size_t(p * width + i)] +=
              dy[size_t(p * g.out_channels + o)] * w[size_t(o * width + i)];
        }
      }
    }
    for (int64_t i = 0; i < g.batch * g.height * g.width * in; ++i) {
      dx[size_t(windows.place_of(i))] = windows.gathered(i, columns.data());
    }
  }
  for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], want_y[i], 1e-12) << "y " << i;
  for (size_t i = 0; i < dx.size(); ++i) ASSERT_NEAR(dx[i], want_dx[i], 1e-12) << "dx " << i;
}

TEST(Conv2dWindows, EqualTheCpuConvolution) {
  check({2, 5, 6, 3, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1});
  check({1, 9, 7, 4, 6, 3, 2, 2, 3, 1, 0, 1, 2, 2});
  check({2, 4, 5, 4, 4, 2, 2, 3, 2, 2, 1, 2, 1, 4});
  check({1, 6, 6, 2, 2, 1, 1, 2, 2, 0, 0, 1, 1, 1});
}

}  // namespace
}  // namespace trireme::kernels
