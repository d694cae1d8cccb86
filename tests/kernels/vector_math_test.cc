// Accuracy of the f32 functions that replace the C library's, over dense sweeps of their ranges.

#include "kernels/vector_math.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/pointwise.h"
#include "kernels/simd.h"

namespace trireme {
namespace {

struct Sweep {
  float low, high;
};

/// Largest relative error of `fn` against `exact` over the sweep.
template <typename Fn, typename Exact>
double worst_error(Sweep sweep, const Fn& fn, const Exact& exact) {
  constexpr int kPoints = 200'000;
  double worst = 0;
  for (int i = 0; i <= kPoints; ++i) {
    const float x = sweep.low + (sweep.high - sweep.low) * static_cast<float>(i) / kPoints;
    const double want = exact(static_cast<double>(x));
    if (want == 0) continue;
    worst = std::max(worst, std::abs(fn(x) - want) / std::abs(want));
  }
  return worst;
}

// Half a unit in the last place is 6e-8 of a value.
constexpr double kHalfUlp = 0x1p-24;

TEST(VectorMath, ExpIsWithinTwoUlp) {
  const auto fn = [](float x) { return vmath::exp(x); };
  const auto exact = [](double x) { return std::exp(x); };
  EXPECT_LT(worst_error({-87, 88.7f}, fn, exact), 4 * kHalfUlp);
  EXPECT_LT(worst_error({-1, 1}, fn, exact), 4 * kHalfUlp);
}

TEST(VectorMath, ExpUnderflowsThroughSubnormals) {
  for (float x = -103; x < -87.4f; x += 0.01f) {
    EXPECT_NEAR(vmath::exp(x), std::exp(static_cast<double>(x)),
                2.0 * std::numeric_limits<float>::denorm_min())
        << x;
  }
}

TEST(VectorMath, LogIsWithinTwoUlp) {
  const auto fn = [](float x) { return vmath::log(x); };
  const auto exact = [](double x) { return std::log(x); };
  for (Sweep sweep : {Sweep{0.001f, 0.999f}, Sweep{0.99f, 1.01f}, Sweep{1.001f, 100},
                      Sweep{1e-42f, 1e-37f}, Sweep{1, 3e38f}}) {
    EXPECT_LT(worst_error(sweep, fn, exact), 4 * kHalfUlp) << sweep.low;
  }
}

TEST(VectorMath, TanhHasSmallRelativeError) {
  const auto fn = [](float x) { return vmath::tanh(x); };
  const auto exact = [](double x) { return std::tanh(x); };
  EXPECT_LT(worst_error({-12, 12}, fn, exact), 2e-7);
  EXPECT_LT(worst_error({-0.7f, 0.7f}, fn, exact), 2e-7);
  EXPECT_LT(worst_error({1e-30f, 1e-3f}, fn, exact), 2e-7);
}

TEST(VectorMath, ErfcIsAsAccurateAsItsHeaderSays) {
  for (float x = -8; x < 8; x += 0.0001f)
    ASSERT_NEAR(vmath::erfc(x), std::erfc(double{x}), 2e-7) << x;
  EXPECT_LT(worst_error(
                {-6, 2.5f}, [](float x) { return vmath::erfc(x); },
                [](double x) { return std::erfc(x); }),
            5e-6);
}

// As the text that it stands for: from the smallest results to the largest, and NaN.
TEST(VectorMath, VectorsOfExpAreWithinTwoUlpToo) {
  using namespace kernels;
  const auto in_a_vector = [](float x) { return exp_of<float>(broadcast(x))[0]; };
  const auto exact = [](double x) { return std::exp(x); };
  EXPECT_LT(worst_error({-87, 88.7f}, in_a_vector, exact), 4 * kHalfUlp);
  for (float x = -103; x < -87.4f; x += 0.01f) {
    EXPECT_NEAR(in_a_vector(x), exact(x), 2.0 * std::numeric_limits<float>::denorm_min()) << x;
  }
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(in_a_vector(89), kInf);
  for (float least : {-104.0f, -89999.0f, -1e6f, -1e30f, -3e38f, -kInf}) {
    EXPECT_EQ(in_a_vector(least), 0) << least;
  }
  EXPECT_EQ(in_a_vector(0), 1);
  EXPECT_TRUE(std::isnan(in_a_vector(NAN)));
}

TEST(VectorMath, GeluInVectorsIsTheFunctor) {
  using namespace kernels;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  std::vector<float> x{0, -0.0f, kInf, -kInf, NAN, 3e38f, -3e38f, 1e-42f, -88, 88};
  for (float v = -12; v < 12; v += 0.001f) x.push_back(v);
  const auto count = static_cast<int64_t>(x.size());
  std::vector<float> dy(x.size(), 1.0f), y(x.size()), dx(x.size());
  map(Cpu{}, GeluTanh{}, std::array<const float*, 1>{x.data()}, y.data(), count);
  map(Cpu{}, GradOf<GeluTanh>{}, std::array<const float*, 2>{dy.data(), x.data()}, dx.data(),
      count);
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(std::abs(x[i]) <= 1e18f)) continue;  // its square is not finite: below
    const double exact = x[i];
    // Of an exponential of -70 the rounded argument alone leaves 4e-6.
    EXPECT_NEAR(y[i], GeluTanh{}(exact), 1e-37 + 2e-5 * std::abs(GeluTanh{}(exact))) << exact;
    EXPECT_NEAR(dx[i], GeluTanh{}.grad(1.0, exact), 5e-7) << exact;
    EXPECT_NEAR(GeluTanh{}.grad(1.0f, x[i]), GeluTanh{}.grad(1.0, exact), 5e-7) << exact;
  }
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(std::isnan(y[i]), std::isnan(GeluTanh{}(x[i]))) << x[i];
    EXPECT_EQ(std::isnan(dx[i]), std::isnan(GeluTanh{}.grad(1.0f, x[i]))) << x[i];
  }
  EXPECT_EQ(y[2], kInf);
}

}  // namespace
}  // namespace trireme
