// What a thread of the CUDA pooling kernels does, run for every thread, equals the CPU kernel.

#include "kernels/cuda/pool_body.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace trireme::kernels {
namespace {

std::vector<float> draw(int64_t count, int modulus) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<int>(i * 7919 % 101) % modulus - modulus / 2);
  }
  return values;
}

template <int W, typename Body>
void run_all(int64_t count, const Body& body) {
  for (int64_t thread = 0; thread < 5; ++thread) run_thread<W>(thread, 5, count, body);
}

template <int W, typename Index, typename Place>
void check_max(const Pool2dGeometry& g, const std::vector<float>& x, const std::vector<float>& dy) {
  std::vector<float> y(dy.size()), want_y = y, dx(x.size(), 7), want_dx = dx;
  std::vector<Place> where(dy.size()), want_where = where;
  max_pool2d(Cpu{}, g, x.data(), want_y.data(), want_where.data());
  run_all<W>(std::ssize(y), MaxPoolBody<float, Index, Place>{g, x.data(), y.data(), where.data()});
  EXPECT_EQ(where, want_where);
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_TRUE(y[i] == want_y[i] || (std::isnan(y[i]) && std::isnan(want_y[i]))) << i;
  }
  max_pool2d_backward(Cpu{}, g, dy.data(), want_where.data(), want_dx.data());
  run_all<W>(std::ssize(x),
             MaxPoolBackwardBody<float, Index, Place>{g, dy.data(), where.data(), dx.data()});
  EXPECT_EQ(dx, want_dx);
}

template <int W, typename Index>
void check(const Pool2dGeometry& g, bool with_nan) {
  const int64_t in = g.batch * g.rows.size * g.cols.size * g.channels;
  const int64_t out = g.batch * g.rows.out * g.cols.out * g.channels;
  // Few different values, so that windows have equal ones.
  std::vector<float> x = draw(in, 5);
  const std::vector<float> dy = draw(out, 9);
  if (with_nan) {
    for (size_t i = 0; i < x.size(); i += 13) x[i] = std::numeric_limits<float>::quiet_NaN();
  }
  std::vector<float> y(dy.size()), want_y = y, dx(x.size(), 7), want_dx = dx;
  if (!g.rows.adaptive) {
    check_max<W, Index, uint8_t>(g, x, dy);
    check_max<W, Index, int32_t>(g, x, dy);
  }
  if (with_nan) return;
  avg_pool2d(Cpu{}, g, x.data(), want_y.data());
  run_all<W>(out, AvgPoolBody<float, Index>{g, x.data(), y.data()});
  for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], want_y[i], 1e-6) << i;
  avg_pool2d_backward(Cpu{}, g, dy.data(), want_dx.data());
  run_all<W>(in, AvgPoolBackwardBody<float, Index>{g, dy.data(), dx.data()});
  for (size_t i = 0; i < dx.size(); ++i) ASSERT_NEAR(dx[i], want_dx[i], 1e-5) << i;
}

Windows windows(int64_t size, int64_t kernel, int64_t stride, int64_t pad) {
  return {size, (size + 2 * pad - kernel) / stride + 1, kernel, stride, pad, false};
}
Windows adaptive(int64_t size, int64_t out) { return {size, out, 0, 1, 0, true}; }

TEST(PoolBody, EqualsTheCpuKernelForAnyWindows) {
  const Pool2dGeometry cases[] = {
      {2, 4, windows(8, 3, 2, 1), windows(7, 3, 2, 1)},  // ResNet's first
      {1, 8, windows(6, 2, 2, 0), windows(9, 3, 3, 0)},
      {2, 4, windows(5, 3, 1, 1), windows(6, 2, 3, 0)},  // gaps between windows
      {2, 4, windows(7, 5, 2, 2), windows(5, 1, 1, 0)},
      {2, 8, adaptive(7, 1), adaptive(7, 1)},
      {1, 4, adaptive(7, 3), adaptive(5, 4)},  // windows that overlap
      {1, 4, adaptive(3, 5), adaptive(4, 4)},  // more windows than pixels
  };
  for (const Pool2dGeometry& g : cases) {
    for (bool with_nan : {false, true}) {
      SCOPED_TRACE(::testing::Message()
                   << g.rows.size << " -> " << g.rows.out << ", NaN " << with_nan);
      check<4, uint32_t>(g, with_nan);
      check<1, uint64_t>(g, with_nan);
    }
  }
}

}  // namespace
}  // namespace trireme::kernels
