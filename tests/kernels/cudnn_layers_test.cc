// The graphs of batch norm, pooling and normalised convolutions that we hand to cuDNN mean what our
// contracts say: computed on host memory they equal the CPU kernels.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/conv2d_norm.h"
#include "kernels/cudnn_batch_norm.h"
#include "kernels/cudnn_conv2d.h"
#include "kernels/cudnn_pool2d.h"
#include "tests/kernels/interpreted_library.h"

namespace trireme::kernels {
namespace {

using Library = testing::InterpretedLibrary;
using Values = std::vector<float>;

Values draw(int64_t count, int seed) {
  Values values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(std::sin(double(i) * 1.7 + seed * 0.9));
  }
  return values;
}

void expect_near(const Values& got, const Values& want, double tolerance, const char* what) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], tolerance) << what << " " << i;
  }
}

void check_batch_norm(const NormedShape& s, NormEnd end) {
  SCOPED_TRACE(::testing::Message() << "end " << static_cast<int>(end));
  Library library;
  const int64_t count = s.rows() * s.channels;
  const size_t channels = static_cast<size_t>(s.channels);
  const Values x = draw(count, 1), residual = draw(count, 2), dy = draw(count, 3);
  const Values gamma = draw(s.channels, 4), beta = draw(s.channels, 5);
  const float eps = 1e-3f;

  struct Results {
    Values mean, rstd, y, dx, dgamma, dbeta;
  };
  const size_t n = x.size();
  Results want{Values(channels), Values(channels), Values(n),
               Values(n),        Values(channels), Values(channels)};
  Results got = want;
  batch_norm_step<float>(Cpu{},
                         {s, end, x.data(), residual.data(), gamma.data(), beta.data(), eps,
                          want.mean.data(), want.rstd.data(), want.y.data()},
                         {});
  const CudnnBatchNorm norm{s, end, CUDNN_DATA_FLOAT};
  CudnnBuilt forward = build_batch_norm(library.cudnn->graph("batch_norm"), norm, {});
  library.cudnn->run(forward,
                     {x.data(), residual.data(), gamma.data(), beta.data(), &eps, got.mean.data(),
                      got.rstd.data(), got.y.data()},
                     nullptr);
  expect_near(got.mean, want.mean, 1e-6, "mean");
  expect_near(got.rstd, want.rstd, 1e-5, "rstd");
  expect_near(got.y, want.y, 1e-5, "y");
  if (end == NormEnd::kAddRelu) return;  // that gradient is never cuDNN's

  batch_norm_gradient<float>(Cpu{}, {s, end, x.data(), want.y.data(), dy.data(), gamma.data(),
                                     beta.data(), want.mean.data(), want.rstd.data(), nullptr,
                                     want.dx.data(), want.dgamma.data(), want.dbeta.data()});
  CudnnBuilt backward = build_batch_norm_gradient(library.cudnn->graph("batch_norm"), norm, {});
  library.cudnn->run(backward,
                     {x.data(), dy.data(), gamma.data(), beta.data(), got.mean.data(),
                      got.rstd.data(), got.dx.data(), got.dgamma.data(), got.dbeta.data()},
                     nullptr);
  expect_near(got.dx, want.dx, 2e-5, "dx");
  expect_near(got.dgamma, want.dgamma, 2e-4, "dgamma");
  expect_near(got.dbeta, want.dbeta, 2e-4, "dbeta");
}

TEST(CudnnBatchNorm, EqualsTheCpuKernelWithAllThatFollowsIt) {
  for (const NormedShape& s : {NormedShape{2, 3, 4, 8}, NormedShape{7, 1, 1, 3}}) {
    check_batch_norm(s, NormEnd::kPlain);
    check_batch_norm(s, NormEnd::kRelu);
    check_batch_norm(s, NormEnd::kAddRelu);
  }
}

TEST(CudnnBatchNorm, EveryDifferenceInTheGraphIsInTheKey) {
  const NormedShape s{2, 3, 4, 8};
  std::vector<CudnnKey> keys;
  for (NormEnd end : {NormEnd::kPlain, NormEnd::kRelu, NormEnd::kAddRelu}) {
    for (cudnnDataType_t type : {CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16}) {
      keys.push_back(key_of_batch_norm({s, end, type}));
      keys.push_back(key_of_batch_norm_gradient({s, end, type}));
    }
  }
  keys.push_back(key_of_batch_norm({{2, 4, 3, 8}, NormEnd::kPlain, CUDNN_DATA_FLOAT}));
  for (size_t i = 0; i < keys.size(); ++i) {
    for (size_t k = 0; k < i; ++k) EXPECT_NE(keys[i], keys[k]) << i << " and " << k;
  }
}

Windows windows(int64_t size, int64_t kernel, int64_t stride, int64_t pad) {
  return {size, (size + 2 * pad - kernel) / stride + 1, kernel, stride, pad, false};
}

template <typename Place>
void check_pool(const Pool2dGeometry& g, cudnnDataType_t place) {
  Library library;
  const int64_t in = g.batch * g.rows.size * g.cols.size * g.channels;
  const int64_t out = g.batch * g.rows.out * g.cols.out * g.channels;
  Values x = draw(in, 1);
  for (float& v : x) v = std::round(3 * v);  // so that windows have equal elements
  const Values dy = draw(out, 2);
  Values y(dy.size()), want_y = y, dx(x.size()), want_dx = dx;
  std::vector<Place> where(y.size()), want_where = where;
  const auto run = [&](CudnnPool kind, bool is_gradient, const float* at_x, const float* at_y) {
    const CudnnPool2d pool{kind, is_gradient, g, CUDNN_DATA_FLOAT, place};
    CudnnBuilt built = build_pool2d(library.cudnn->graph("pool2d"), pool, {});
    library.cudnn->run(built, {at_x, at_y, where.data()}, nullptr);
  };
  max_pool2d(Cpu{}, g, x.data(), want_y.data(), want_where.data());
  run(CudnnPool::kMax, false, x.data(), y.data());
  EXPECT_EQ(where, want_where);
  expect_near(y, want_y, 0, "largest");
  max_pool2d_backward(Cpu{}, g, dy.data(), want_where.data(), want_dx.data());
  run(CudnnPool::kMax, true, dx.data(), dy.data());
  expect_near(dx, want_dx, 1e-6, "gradient of the largest");
  avg_pool2d(Cpu{}, g, x.data(), want_y.data());
  run(CudnnPool::kAverage, false, x.data(), y.data());
  expect_near(y, want_y, 1e-6, "mean");
  avg_pool2d_backward(Cpu{}, g, dy.data(), want_dx.data());
  run(CudnnPool::kAverage, true, dx.data(), dy.data());
  expect_near(dx, want_dx, 1e-6, "gradient of the mean");
}

TEST(CudnnPool2d, EqualsTheCpuKernelAndItsPlaces) {
  for (const Pool2dGeometry& g : {Pool2dGeometry{2, 3, windows(8, 3, 2, 1), windows(7, 3, 2, 1)},
                                  Pool2dGeometry{1, 4, windows(5, 2, 3, 0), windows(9, 4, 1, 2)}}) {
    check_pool<uint8_t>(g, CUDNN_DATA_INT8);
    check_pool<int32_t>(g, CUDNN_DATA_INT32);
  }
}

void check_conv2d_norm(const Conv2dGeometry& g, NormEnd end) {
  SCOPED_TRACE(::testing::Message() << "end " << static_cast<int>(end));
  Library library;
  const int64_t out = g.batch * g.out_height() * g.out_width() * g.out_channels;
  const int64_t taps = g.out_channels * g.kernel_h * g.kernel_w * (g.in_channels / g.groups);
  const Values x = draw(g.batch * g.height * g.width * g.in_channels, 1), weight = draw(taps, 2);
  const Values residual = draw(out, 3), gamma = draw(g.out_channels, 4);
  const Values beta = draw(g.out_channels, 5), mean = draw(g.out_channels, 6);
  Values var = draw(g.out_channels, 7);
  for (float& v : var) v = v * v;
  Values scale(gamma.size()), shift(gamma.size()), y(residual.size()), want = y;
  const FoldedNorm<float> norm{gamma.data(), beta.data(),  mean.data(), var.data(),
                               1e-3f,        scale.data(), shift.data()};
  conv2d_norm<float>(Cpu{}, {g, end, norm, x.data(), weight.data(), residual.data(), want.data()});
  const CudnnConv2d conv{CudnnConvolution::kForward, g, CUDNN_DATA_FLOAT, 16};
  CudnnBuilt built = build_conv2d_norm(library.cudnn->graph("conv2d"), conv, end, {});
  library.cudnn->run(
      built, {x.data(), weight.data(), scale.data(), shift.data(), residual.data(), y.data()},
      nullptr);
  expect_near(y, want, 2e-4, "y");
}

TEST(CudnnConv2dNorm, EqualsTheConvolutionAndThePassesBehindIt) {
  for (NormEnd end : {NormEnd::kPlain, NormEnd::kRelu, NormEnd::kAddRelu}) {
    check_conv2d_norm({2, 5, 6, 3, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1}, end);
    check_conv2d_norm({1, 7, 5, 4, 6, 3, 2, 2, 1, 1, 0, 1, 2, 2}, end);
  }
}

}  // namespace
}  // namespace trireme::kernels
