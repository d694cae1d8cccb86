// The row bodies of the CUDA norms, run on the host by one member and by several, against the CPU
// kernels.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/cuda/norm_body.h"
#include "kernels/residual_layer_norm.h"
#include "tests/kernels/device_rows.h"
#include "tests/kernels/thread_group.h"

namespace trireme::kernels {
namespace {

using trireme::testing::run_group;

template <typename T>
class DeviceNorms : public ::testing::Test {};
TYPED_TEST_SUITE(DeviceNorms, Floating);

/// The two norms of the CPU, where the products around them are of the stream's type or of 16 bits.
template <typename T, typename Low>
void norm_on_cpu(const NormForward<T, Low>& n) {
  if constexpr (std::is_same_v<T, Low>) {
    residual_layer_norm<T>(Cpu{}, n.branch, n.x, n.gamma, n.beta, n.eps, n.sum, n.y, n.mean,
                           n.rstd);
  } else {
    residual_layer_norm_between<Low>(Cpu{}, n.branch, n.x, n.gamma, n.beta, n.eps, n.sum, n.y,
                                     n.mean, n.rstd);
  }
}
template <typename T, typename Low>
void norm_backward_on_cpu(const NormBackward<T, Low>& b, T* dgamma, T* dbeta) {
  if constexpr (std::is_same_v<T, Low>) {
    residual_layer_norm_backward<T>(Cpu{}, b.x, b.gamma, b.mean, b.rstd, b.dy, b.dsum, b.dx, dgamma,
                                    dbeta);
  } else {
    residual_layer_norm_between_backward<Low>(Cpu{}, b.x, b.gamma, b.mean, b.rstd, b.dy, b.dsum,
                                              b.dx, b.dx_low, dgamma, dbeta);
  }
}

/// Residual norm and its gradient with rows held in registers or streamed; without a mean, by the
/// root mean square. Rows are loaded ahead of their use and not.
template <typename T, typename Low, typename Store, int W>
void check_norm(int64_t cols, int members, bool fused, bool has_mean) {
  using A = Acc<T>;
  using Wide = DeviceRows<T>;
  using Narrow = DeviceRows<Low>;
  auto x = Wide::draw(kRows * cols, 4), gamma = Wide::draw(cols, 6), beta = Wide::draw(cols, 7),
       dsum = Wide::draw(kRows * cols, 9);
  auto branch = Narrow::draw(kRows * cols, 5), dy = Narrow::draw(kRows * cols, 8);
  if (!fused) std::fill(branch.begin(), branch.end(), Low(0.0f));
  const auto view = [&](auto& v) {
    using E = typename std::remove_reference_t<decltype(v)>::value_type;
    return MatrixView<E>{v.data(), kRows, cols, cols};
  };
  std::vector<T> sum(x.size()), dx(x.size()), dgamma(gamma.size()), dbeta(gamma.size());
  std::vector<Low> y(x.size()), dx_low(x.size());
  std::vector<A> mean(kRows), rstd(kRows);
  const NormForward<T, Low> forward{
      view(x),     view(branch), view(sum), gamma.data(),
      beta.data(), A(1e-3),      view(y),   has_mean ? mean.data() : nullptr,
      rstd.data()};
  norm_on_cpu(forward);
  const NormBackward<T, Low> backward{view(sum), gamma.data(), forward.mean, rstd.data(),
                                      view(dy),  view(dsum),   view(dx),     view(dx_low)};
  norm_backward_on_cpu(backward, dgamma.data(), dbeta.data());

  std::vector<T> got_sum(x.size()), got_dx(x.size());
  std::vector<Low> got_y(x.size()), got_low(x.size());
  std::vector<A> got_mean(kRows), got_rstd(kRows);
  NormForward<T, Low> n = forward;
  if (!fused) n.branch = {};
  n.sum = view(got_sum);
  n.y = view(got_y);
  if (has_mean) n.mean = got_mean.data();
  n.rstd = got_rstd.data();
  NormBackward<T, Low> b = backward;
  b.dx = view(got_dx);
  b.dx_low = view(got_low);
  std::vector<double> sums(static_cast<size_t>(2 * cols));
  run_group(members, [&](const auto& group) {
    using Forward = NormForwardRow<Store, W, T, Low>;
    using Backward = NormBackwardRow<Store, W, T, Low>;
    NormSums<A, 64> mine;
    NoSums none;
    each_norm_row<false, Forward>(
        group, n, 1, 1, [&](int64_t r, Forward& row) { layer_norm_row(group, n, r, row); });
    each_norm_row<true, Forward>(
        group, n, 0, kRows, [&](int64_t r, Forward& row) { layer_norm_row(group, n, r, row); });
    each_norm_row<true, Backward>(group, b, 0, 1, [&](int64_t r, Backward& row) {
      if constexpr (std::is_same_v<Store, Streamed>) {
        layer_norm_backward_row(group, b, r, row, none);
      } else {
        layer_norm_backward_row(group, b, r, row, mine);
      }
    });
    Store::template each<W>(group, cols, [&](int i, int64_t c) {
      for (int k = 0; k < W; ++k) {  // columns of different members are different
        sums[static_cast<size_t>(c + k)] = static_cast<double>(mine.gamma[i * W + k]);
        sums[static_cast<size_t>(cols + c + k)] = static_cast<double>(mine.beta[i * W + k]);
      }
    });
  });
  if (fused) Wide::expect_near(got_sum, sum);
  Narrow::expect_near(got_y, y, 4);
  Wide::expect_near(got_dx, dx, 10);
  if (!std::is_same_v<T, Low>) Narrow::expect_near(got_low, dx_low);
  Wide::expect_near(got_mean, mean);
  Wide::expect_near(got_rstd, rstd);
  if (std::is_same_v<Store, Streamed>) return;
  for (size_t c = 0; c < static_cast<size_t>(cols); ++c) {
    const double bound = 20 * Wide::tolerance();
    EXPECT_NEAR(sums[c], static_cast<double>(A(dgamma[c])), bound * (1 + std::fabs(sums[c])));
    EXPECT_NEAR(sums[static_cast<size_t>(cols) + c], static_cast<double>(A(dbeta[c])), bound * 10);
  }
}

template <typename T, typename Low>
void check_norms_streamed() {
  DeviceRows<T>::each_setting([](int64_t cols, int64_t, int members) {
    for (bool has_mean : {false, true}) {
      check_norm<T, Low, Streamed, 1>(cols, members, members == 3, has_mean);
    }
  });
}
template <typename T, typename Low>
void check_norms_held() {
  constexpr int kW = kPack<T>, kPacks = 32 / kW;
  for (int64_t packs : {1, 2, 5, 3 * kPacks}) {  // three members hold 3 * kPacks at most
    for (bool fused : {false, true}) {
      for (bool has_mean : {false, true}) {
        check_norm<T, Low, Held<kPacks>, kW>(packs * kW, 3, fused, has_mean);
        if (packs > kPacks) continue;
        check_norm<T, Low, Held<kPacks>, kW>(packs * kW, 1, fused, has_mean);
      }
    }
  }
}

TYPED_TEST(DeviceNorms, Streamed) { check_norms_streamed<TypeParam, TypeParam>(); }
TYPED_TEST(DeviceNorms, HeldInRegisters) { check_norms_held<TypeParam, TypeParam>(); }
TEST(DeviceNormsF32, BetweenProductsOf16Bits) {
  check_norms_streamed<float, BFloat16>();
  check_norms_streamed<float, Float16>();
  check_norms_held<float, BFloat16>();
  check_norms_held<float, Float16>();
}

}  // namespace
}  // namespace trireme::kernels
