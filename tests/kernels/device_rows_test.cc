// The row bodies of the CUDA kernels, run on the host by one member and by several, against the CPU
// kernels: odd lengths, rows that start anywhere, every floating type.

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cross_entropy.h"
#include "kernels/cross_entropy_inplace.h"
#include "kernels/cuda/column_geometry.h"
#include "kernels/cuda/cross_entropy_body.h"
#include "kernels/cuda/cross_entropy_staged_body.h"
#include "kernels/cuda/gelu_gradient_body.h"
#include "kernels/cuda/global_norm_body.h"
#include "kernels/cuda/softmax_body.h"
#include "kernels/gelu_gradient.h"
#include "kernels/global_norm.h"
#include "kernels/matmul.h"
#include "kernels/softmax.h"
#include "tests/kernels/device_rows.h"
#include "tests/kernels/thread_group.h"

namespace trireme::kernels {
namespace {

using trireme::testing::run_group;

TYPED_TEST_SUITE(DeviceRows, Floating);

TYPED_TEST(DeviceRows, SoftmaxAndItsGradient) {
  using T = TypeParam;
  TestFixture::each_setting([](int64_t cols, int64_t offset, int members) {
    auto x = TestFixture::draw(room(cols), 1), dy = TestFixture::draw(room(cols), 2);
    for (bool log : {false, true}) {
      std::vector<T> want(x.size()), got(x.size()), dwant(x.size()), dgot(x.size());
      const auto view = [&](std::vector<T>& v) { return shifted(v, offset, cols); };
      if (log) {
        log_softmax<T>(Cpu{}, view(x), view(want));
        log_softmax_backward<T>(Cpu{}, view(want), view(dy), view(dwant));
      } else {
        softmax<T>(Cpu{}, view(x), view(want));
        softmax_backward<T>(Cpu{}, view(want), view(dy), view(dwant));
      }
      run_group(members, [&](const auto& group) {
        for (int64_t r = 0; r < kRows; ++r) {
          const T *from = view(x).row(r), *y = view(want).row(r), *d = view(dy).row(r);
          if (log) {
            log_softmax_row<T, kPack<T>>(group, from, view(got).row(r), cols);
            log_softmax_backward_row<T, kPack<T>>(group, y, d, view(dgot).row(r), cols);
          } else {
            softmax_row<T, kPack<T>>(group, from, view(got).row(r), cols);
            softmax_backward_row<T, kPack<T>>(group, y, d, view(dgot).row(r), cols);
          }
        }
      });
      TestFixture::expect_near(got, want);
      TestFixture::expect_near(dgot, dwant, 10);
    }
  });
}

TEST(DeviceRowsF32, SoftmaxOfExtremeRows) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const std::vector<std::vector<float>> rows{
      {1e30f, 1e30f, -1e30f}, {-inf, 3e38f, 0}, {-inf, -inf, -200}, {nan, 1, 2},
      {-inf, -inf, -inf},     {inf, 1, 2},      {-inf, nan, -inf}};
  for (const std::vector<float>& row : rows) {
    std::vector<float> want(3), got(3);
    std::vector<float> x = row;
    softmax<float>(Cpu{}, MatrixView<float>{x.data(), 1, 3, 3},
                   MatrixView<float>{want.data(), 1, 3, 3});
    for (int members : {1, 2, 5}) {
      run_group(members,
                [&](const auto& group) { softmax_row<float, 1>(group, x.data(), got.data(), 3); });
      for (size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(std::isnan(got[i]), std::isnan(want[i])) << row[0] << " " << row[1] << " " << i;
        if (!std::isnan(want[i])) {
          EXPECT_EQ(got[i], want[i]);
        }
      }
    }
  }
}

TYPED_TEST(DeviceRows, CrossEntropyForwardBackwardAndInPlace) {
  using T = TypeParam;
  using A = Acc<T>;
  TestFixture::each_setting([](int64_t cols, int64_t offset, int members) {
    auto x = TestFixture::draw(room(cols), 3);
    const std::vector<int64_t> targets{cols - 1, -100, 0};
    const auto view = [&](std::vector<T>& v) { return shifted(v, offset, cols); };
    std::vector<A> lse(kRows), result(2), got_lse(kRows), loss(kRows);
    std::vector<T> want(x.size()), got(x.size());
    cross_entropy<T, int64_t>(Cpu{}, view(x), targets.data(), -100, lse.data(), result.data());
    const A dloss = A(0.5);
    cross_entropy_backward<T, int64_t>(Cpu{}, view(x), targets.data(), -100, lse.data(), &dloss,
                                       &result[1], view(want));
    std::vector<T> inplace_want = x, inplace_got = x;
    std::vector<A> inplace_result(2);
    cross_entropy_inplace<T, int64_t>(Cpu{}, view(inplace_want), cols, targets.data(), -100,
                                      inplace_result.data());
    Two<double> total{};
    run_group(members, [&](const auto& group) {
      for (int64_t r = 0; r < kRows; ++r) {
        const Target<int64_t> target(targets[static_cast<size_t>(r)], -100, cols);
        const Two<A> found = cross_entropy_row<kPack<T>>(group, view(x).row(r), cols, target);
        cross_entropy_backward_row<kPack<T>>(group, view(x).row(r), view(got).row(r), cols, target,
                                             found.first, dloss * result[1]);
        const A again = cross_entropy_inplace_row<kPack<T>>(group, view(inplace_got).row(r), cols,
                                                            cols, target, result[1]);
        if (group.rank() != 0) continue;
        got_lse[static_cast<size_t>(r)] = found.first;
        loss[static_cast<size_t>(r)] = found.second;
        EXPECT_EQ(again, found.second);
      }
      group.sync();
      const auto sum = mean_loss_parts(group, loss.data(), targets.data(), kRows, -100);
      if (group.rank() == 0) total = sum;
    });
    TestFixture::expect_near(got_lse, lse);
    TestFixture::expect_near(got, want);
    TestFixture::expect_near(inplace_got, inplace_want);
    EXPECT_EQ(total.second, 2);
    EXPECT_NEAR(total.first / 2, static_cast<double>(result[0]), TestFixture::tolerance() * 10);
    EXPECT_NEAR(static_cast<double>(inplace_result[0]), static_cast<double>(result[0]),
                TestFixture::tolerance() * 10);
  });
}

/// Rows that take each other's place in shared memory, of which some are left out: the CPU kernel's
/// losses and gradients, and zeros behind the classes.
TYPED_TEST(DeviceRows, StagedCrossEntropy) {
  using T = TypeParam;
  using A = Acc<T>;
  constexpr int64_t kPackWidth = StagedRow<T>::kWidth, kCount = 7;
  for (int64_t packs : {1, 2, 9, 40}) {
    const int64_t cols = packs * kPackWidth, stride = cols + kPackWidth;
    for (int64_t classes : {cols, cols - 1, cols - kPackWidth + 1}) {
      const std::vector<int64_t> targets{-100, classes - 1, 0, -100, -100, classes / 2, 0};
      std::vector<T> want = TestFixture::draw(kCount * stride, 17), got = want;
      std::vector<A> result(2), loss(kCount, A(-1));
      const auto view = [&](auto& v) { return MatrixView<T>{v.data(), kCount, cols, stride}; };
      cross_entropy_inplace<T, int64_t>(Cpu{}, view(want), classes, targets.data(), -100,
                                        result.data());
      const StagedCrossEntropy<T, int64_t> body{view(got), classes,    targets.data(),
                                                -100,      &result[1], loss.data()};
      for (int64_t first : {0, 1}) {  // two blocks
        std::vector<T> held(static_cast<size_t>(cols));
        run_group(first == 0 ? 1 : 3,
                  [&](const auto& group) { body(group, held.data(), first, 2); });
      }
      TestFixture::expect_near(got, want);
      EXPECT_EQ(loss[0], 0);
      EXPECT_EQ(loss[3], 0);
      const A sum = std::accumulate(loss.begin(), loss.end(), A(0));
      EXPECT_NEAR(static_cast<double>(sum * result[1]), static_cast<double>(result[0]),
                  TestFixture::tolerance() * 10);
    }
  }
}

TEST(DeviceRowsF32, StagedCrossEntropyLooksUpNoIdOutsideTheTable) {
  std::vector<float> x{1, 2, 3, 4}, held(4), loss{-1};
  const std::vector<int32_t> targets{4};
  const float scale = 1;
  constexpr int64_t kIgnored = -(int64_t{1} << 40);  // no id of 32 bits
  const StagedCrossEntropy<float, int32_t> body{
      MatrixView<float>{x.data(), 1, 4, 4}, 4, targets.data(), kIgnored, &scale, loss.data()};
  body(SerialGroup{}, held.data(), 0, 1);
  EXPECT_EQ(loss[0], 0);
  EXPECT_NEAR(x[0] + x[1] + x[2] + x[3], 1, 1e-6);
}

TEST(DeviceRowsF32, PaddedClassesAndIdsOutsideTheTable) {
  std::vector<float> x{1, 2, 3, 99, 98};
  std::vector<float> want(x.begin(), x.begin() + 3), result(2);
  const std::vector<int32_t> targets{1};
  cross_entropy_inplace<float, int32_t>(Cpu{}, MatrixView<float>{want.data(), 1, 3, 3}, 3,
                                        targets.data(), -100, result.data());
  want.resize(5, 0);
  std::vector<float> padded = x;
  cross_entropy_inplace<float, int32_t>(Cpu{}, MatrixView<float>{padded.data(), 1, 5, 5}, 3,
                                        targets.data(), -100, result.data());
  EXPECT_EQ(padded, want);
  const Target<int32_t> inside(1, -100, 3), outside(7, -100, 3);
  cross_entropy_inplace_row<1>(SerialGroup{}, x.data(), 3, 5, inside, 1.0f);
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(x[i], want[i], 1e-6);
  EXPECT_FALSE(outside.valid);
  EXPECT_EQ(cross_entropy_row<1>(SerialGroup{}, x.data(), 3, outside).second, 0);
}

/// Both stages of a sum over rows as the kernels run them: each thread of each block in turn.
template <int W, typename T, typename Terms>
std::vector<double> two_stage_sums(const Terms& terms, int64_t rows, int64_t cols) {
  const ColumnGeometry g = column_geometry(rows, cols, W, 3);
  std::vector<double> sums(static_cast<size_t>(cols));
  for (int64_t block = 0; block < g.blocks(); ++block) {
    for (int thread = 0; thread < kBlockThreads; ++thread) {
      const int64_t c = g.first_column(block, thread % kColumnLanes, W), chunk = g.chunk_of(block);
      if (c >= g.cols) continue;
      Acc<T> part[1][W];
      sum_chunk<W>(terms, g.row_begin(chunk) + thread / kColumnLanes, g.row_end(chunk), c, part);
      for (int k = 0; k < W; ++k)
        sums[static_cast<size_t>(c + k)] += static_cast<double>(part[0][k]);
    }
  }
  return sums;
}

TYPED_TEST(DeviceRows, GeluGradientAndSumsOverRows) {
  using T = TypeParam;
  constexpr int kW = kPack<T>;
  for (int64_t rows : {1, 7, 300, 1100}) {
    const int64_t cols = 5 * kW;
    auto x = TestFixture::draw(rows * cols, 10), dy = TestFixture::draw(rows * cols, 11);
    const auto view = [&](std::vector<T>& v) { return MatrixView<T>{v.data(), rows, cols, cols}; };
    std::vector<T> want(x.size()), got(x.size()), dbias(static_cast<size_t>(cols));
    gelu_bias_gradient<T>(Cpu{}, view(x), view(dy), view(want), dbias.data());
    const GeluGradientTerms<T> terms{x.data(), dy.data(), got.data(), cols};
    const std::vector<double> sums = two_stage_sums<kW, T>(terms, rows, cols);
    TestFixture::expect_near(got, want, 2);
    for (size_t c = 0; c < sums.size(); ++c) {
      EXPECT_NEAR(sums[c], static_cast<double>(Acc<T>(dbias[c])),
                  TestFixture::tolerance() * 4 * std::sqrt(static_cast<double>(rows)) * 3);
    }
  }
}

// x^3 is more than f32 holds where the gate's slope is 0.
TEST(DeviceRowsF32, GeluGradientOfLargeNumbersIsTheGate) {
  EXPECT_EQ(gelu_gradient<BFloat16>(2.0f, 1e15f), 2.0f);
  EXPECT_EQ(gelu_gradient<BFloat16>(2.0f, -1e15f), 0.0f);
}

TYPED_TEST(DeviceRows, SumOfSquares) {
  using T = TypeParam;
  auto x = TestFixture::draw(1000, 13);
  for (int64_t begin : {int64_t{0}, int64_t{kPack<T>}}) {
    double want = 0, got = 0;
    add_sum_of_squares(Cpu{}, x.data() + begin, 991 - begin, &want);
    run_group(3, [&](const auto& group) {
      const double sum = squares_of_chunk<kPack<T>>(group, x.data(), true, begin, 991);
      if (group.rank() == 0) got = sum;
    });
    EXPECT_NEAR(got, want, 1e-9 * want);
  }
}

}  // namespace
}  // namespace trireme::kernels
