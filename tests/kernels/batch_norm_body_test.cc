// What a thread of the CUDA batch norm kernels does, run for every thread of every block, equals
// the CPU kernel.

#include "kernels/cuda/batch_norm_body.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/batch_norm.h"

namespace trireme::kernels {
namespace {

constexpr int kMultiprocessors = 3;

/// launch_column_sums on the host: [kSums, cols].
template <int W, typename Terms>
std::vector<double> column_sums(int64_t rows, int64_t cols, const Terms& terms) {
  const ColumnGeometry g = column_geometry(rows, cols, W, kMultiprocessors);
  std::vector<double> sums(static_cast<size_t>(2 * cols));
  for (int64_t block = 0; block < g.blocks(); ++block) {
    for (int thread = 0; thread < kBlockThreads; ++thread) {
      const int64_t c = g.first_column(block, thread % kColumnLanes, W);
      if (c >= g.cols) continue;
      const int64_t chunk = g.chunk_of(block);
      double part[2][W];
      sum_chunk<W>(terms, g.row_begin(chunk) + thread / kColumnLanes, g.row_end(chunk), c, part);
      for (int s = 0; s < 2; ++s) {
        for (int k = 0; k < W; ++k) sums[static_cast<size_t>(s * cols + c + k)] += part[s][k];
      }
    }
  }
  return sums;
}

template <int W, typename Body>
void apply(int64_t rows, int64_t cols, const Body& body) {
  const ColumnGeometry g = column_geometry(rows, cols, W, kMultiprocessors);
  for (int64_t block = 0; block < g.blocks(); ++block) {
    for (int thread = 0; thread < kBlockThreads; ++thread) apply_chunk<W>(body, g, block, thread);
  }
}

template <typename Body>
void each_column(int64_t cols, const Body& body) {
  for (int64_t c = 0; c < cols; ++c) body.template run<1>(c);
}

std::vector<double> draw(int64_t count, double seed, double offset) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(double(i) * 1.3 + seed) + offset;
  return values;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double bound) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], bound) << i;
}

template <int W>
void check(int64_t rows, int64_t cols, int64_t padding, double offset, bool has_gamma) {
  const int64_t stride = cols + padding;
  const auto x = draw(rows * stride, 1, offset), dy = draw(rows * stride, 2, 0);
  const auto weight = draw(cols, 3, 0), shift = draw(cols, 4, 0);
  const double *gamma = has_gamma ? weight.data() : nullptr, *beta = gamma ? shift.data() : gamma;
  const int64_t abreast = rows_abreast(rows, cols, stride, W), wide = cols * abreast;
  const MatrixView<const double> vx{x.data(), rows, cols, stride},
      vdy{dy.data(), rows, cols, stride};
  const auto make = [&] { return std::vector<double>(static_cast<size_t>(cols)); };

  auto mean = make(), rstd = make(), want_mean = make(), want_rstd = make();
  auto running_mean = draw(cols, 5, 0), running_var = draw(cols, 6, 2);
  auto want_running_mean = running_mean, want_running_var = running_var;
  const bool moves = rows > 1;
  const auto running = [&](auto& of_mean, auto& of_var) {
    return moves ? RunningMoments<double>{of_mean.data(), of_var.data(), 0.25}
                 : RunningMoments<double>{};
  };
  constexpr double kEps = 1e-5;
  batch_moments(Cpu{}, vx, kEps, running(want_running_mean, want_running_var), want_mean.data(),
                want_rstd.data());
  each_column(cols, SampleBody<double>{x.data(), rows, stride, mean.data()});
  auto sums = column_sums<W>(rows / abreast, wide,
                             MomentTerms<double>{x.data(), stride * abreast, cols, mean.data()});
  each_column(cols,
              MomentFinish<double>{sums.data(), rows, cols, abreast, kEps,
                                   running(running_mean, running_var), mean.data(), rstd.data()});
  expect_near(mean, want_mean, 1e-12 * (1 + std::abs(offset)));
  // The offset itself costs digits of x: 1e6 leaves ten of sin's.
  expect_near(rstd, want_rstd, 1e-11 + 1e-14 * std::abs(offset));
  expect_near(running_mean, want_running_mean, 1e-12 * (1 + std::abs(offset)));
  expect_near(running_var, want_running_var, 1e-12 + 1e-15 * std::abs(offset));
  if (moves) {
    const double before = draw(cols, 5, 0)[0];
    EXPECT_NEAR(running_mean[0], 0.75 * before + 0.25 * want_mean[0], 1e-12 * (1 + offset));
  }
  rstd = want_rstd;

  std::vector<double> y(x.size(), 5), want_y = y;
  batch_norm(Cpu{}, vx, want_mean.data(), rstd.data(), gamma, beta,
             MatrixView<double>{want_y.data(), rows, cols, stride});
  apply<W>(rows / abreast, wide,
           NormalizeBody<double>{x.data(), y.data(), stride * abreast, stride * abreast, cols,
                                 want_mean.data(), rstd.data(), gamma, beta});
  expect_near(y, want_y, 1e-9);

  auto dgamma = make(), dbeta = make(), want_dgamma = make(), want_dbeta = make();
  batch_norm_sums(Cpu{}, vx, want_mean.data(), rstd.data(), vdy, want_dgamma.data(),
                  want_dbeta.data());
  sums =
      column_sums<W>(rows / abreast, wide,
                     GradientTerms<double>{x.data(), dy.data(), stride * abreast, stride * abreast,
                                           cols, want_mean.data(), rstd.data()});
  each_column(cols, FoldBody<double>{sums.data(), cols, abreast, dgamma.data(), dbeta.data()});
  expect_near(dgamma, want_dgamma, 1e-8);
  expect_near(dbeta, want_dbeta, 1e-10);

  std::vector<double> dx(x.size(), 5), want_dx = dx;
  batch_norm_input_gradient(Cpu{}, vx, want_mean.data(), rstd.data(), gamma, want_dgamma.data(),
                            want_dbeta.data(), vdy,
                            MatrixView<double>{want_dx.data(), rows, cols, stride});
  apply<W>(
      rows / abreast, wide,
      InputGradientBody<double>{x.data(), dy.data(), dx.data(), stride * abreast, stride * abreast,
                                stride * abreast, cols, rows, want_mean.data(), rstd.data(), gamma,
                                want_dgamma.data(), want_dbeta.data()});
  expect_near(dx, want_dx, 1e-9);

  for (const bool has_residual : {false, true}) {
    const auto residual = draw(rows * stride, 7, 0);
    const double* addend = has_residual ? residual.data() : nullptr;
    batch_norm_relu(Cpu{}, vx, want_mean.data(), rstd.data(), gamma, beta,
                    MatrixView<const double>{addend, rows, cols, stride},
                    MatrixView<double>{want_y.data(), rows, cols, stride});
    const NormalizeBody<double> normalize{x.data(),         y.data(), stride * abreast,
                                          stride * abreast, cols,     want_mean.data(),
                                          rstd.data(),      gamma,    beta};
    apply<W>(rows / abreast, wide, NormalizeReluBody<double>{normalize, addend, stride * abreast});
    expect_near(y, want_y, 1e-9);

    std::vector<double> g(x.size(), 5), want_g = g;
    batch_norm_relu_sums(Cpu{}, vx, want_mean.data(), rstd.data(),
                         MatrixView<const double>{want_y.data(), rows, cols, stride}, vdy,
                         MatrixView<double>{want_g.data(), rows, cols, stride}, want_dgamma.data(),
                         want_dbeta.data());
    const GradientTerms<double> terms{x.data(),         dy.data(), stride * abreast,
                                      stride * abreast, cols,      want_mean.data(),
                                      rstd.data()};
    sums = column_sums<W>(rows / abreast, wide,
                          ReluGradientTerms<double>{terms, want_y.data(), g.data(),
                                                    stride * abreast, stride * abreast});
    each_column(cols, FoldBody<double>{sums.data(), cols, abreast, dgamma.data(), dbeta.data()});
    expect_near(g, want_g, 0);
    expect_near(dgamma, want_dgamma, 1e-8);
    expect_near(dbeta, want_dbeta, 1e-10);
    if (has_residual) continue;

    // Without a residual neither g nor y is needed: x says where relu let through.
    batch_norm_input_gradient(Cpu{}, vx, want_mean.data(), rstd.data(), gamma, want_dgamma.data(),
                              want_dbeta.data(),
                              MatrixView<const double>{want_g.data(), rows, cols, stride},
                              MatrixView<double>{want_dx.data(), rows, cols, stride});
    sums = column_sums<W>(rows / abreast, wide, BeforeReluTerms<double>{terms, gamma, beta});
    each_column(cols, FoldBody<double>{sums.data(), cols, abreast, dgamma.data(), dbeta.data()});
    expect_near(dgamma, want_dgamma, 1e-8);
    expect_near(dbeta, want_dbeta, 1e-10);
    apply<W>(rows / abreast, wide,
             InputGradientBody<double, true>{x.data(), dy.data(), dx.data(), stride * abreast,
                                             stride * abreast, stride * abreast, cols, rows,
                                             want_mean.data(), rstd.data(), gamma,
                                             want_dgamma.data(), want_dbeta.data(), beta});
    expect_near(dx, want_dx, 1e-9);
    batch_norm_before_relu_sums(Cpu{}, vx, want_mean.data(), rstd.data(), gamma, beta, vdy,
                                dgamma.data(), dbeta.data());
    expect_near(dgamma, want_dgamma, 1e-8);
    batch_norm_before_relu_input_gradient(Cpu{}, vx, want_mean.data(), rstd.data(), gamma, beta,
                                          dgamma.data(), dbeta.data(), vdy,
                                          MatrixView<double>{dx.data(), rows, cols, stride});
    expect_near(dx, want_dx, 1e-9);
  }
}

TEST(BatchNormBody, EqualsTheCpuKernel) {
  for (bool has_gamma : {false, true}) {
    check<1>(1, 3, 0, 0, has_gamma);
    check<1>(37, 5, 2, 0, has_gamma);
    check<4>(64, 8, 0, 0, has_gamma);      // eight rows abreast
    check<2>(1000, 6, 0, 3, has_gamma);    // a row count that two divides thrice
    check<4>(999, 12, 0, 3, has_gamma);    // an odd one
    check<4>(600, 160, 0, 0, has_gamma);   // two column blocks
    check<1>(5000, 3, 0, 1e6, has_gamma);  // a mean far from zero
  }
}

// Behind cuDNN, running averages are moved by the moments that it gives.
TEST(BatchNormBody, RunningMomentsMoveAsTheyDoWithTheMoments) {
  constexpr int64_t kRows = 50, kCols = 7;
  constexpr double kEps = 1e-3;
  const auto x = draw(kRows * kCols, 1, 2);
  std::vector<double> mean(kCols), rstd(kCols);
  auto running_mean = draw(kCols, 5, 0), running_var = draw(kCols, 6, 2);
  auto want_mean = running_mean, want_var = running_var;
  batch_moments(Cpu{}, MatrixView<const double>{x.data(), kRows, kCols, kCols}, kEps,
                RunningMoments<double>{want_mean.data(), want_var.data(), 0.25}, mean.data(),
                rstd.data());
  each_column(
      kCols,
      MoveRunningBody<double>{
          {running_mean.data(), running_var.data(), 0.25}, kRows, kEps, mean.data(), rstd.data()});
  expect_near(running_mean, want_mean, 1e-14);
  expect_near(running_var, want_var, 1e-13);
}

TEST(BatchNormBody, NarrowMatricesPutRowsAbreastAsFarAsTheyDivide) {
  EXPECT_EQ(rows_abreast(64, 64, 64, 8), 4);
  EXPECT_EQ(rows_abreast(64, 256, 256, 8), 1);
  EXPECT_EQ(rows_abreast(6, 64, 64, 8), 2);
  EXPECT_EQ(rows_abreast(64, 64, 72, 8), 1);  // rows lie apart
  EXPECT_EQ(rows_abreast(0, 64, 64, 8), 4);
}

}  // namespace
}  // namespace trireme::kernels
