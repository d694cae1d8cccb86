// Outputs that no cache holds are streamed: the results must be those of the same rows in two
// parts, each small enough to be stored in the ordinary way.

#include "kernels/stream_store.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/philox.h"
#include "kernels/cross_entropy.h"
#include "kernels/layer_norm.h"
#include "kernels/pointwise.h"
#include "kernels/softmax.h"

namespace trireme::kernels {
namespace {

constexpr int64_t kCols = 4099;  // rows of every alignment
constexpr int64_t kRows = kStreamedFrom / (kCols * static_cast<int64_t>(sizeof(float))) + 2;

TEST(StreamStore, CopiesFromAndToAnyAddress) {
  constexpr int64_t kCount = 300;
  alignas(64) int16_t from[kCount], to[kCount];
  for (int64_t i = 0; i < kCount; ++i) from[i] = static_cast<int16_t>(i);
  for (int64_t offset : {0, 1, 5, 15, 16, 31}) {
    for (int64_t n : {0, 1, 3, 15, 16, 17, 200}) {
      std::fill_n(to, kCount, int16_t{-1});
      stream_row(to + offset, from + 3, n);
      stream_fence();
      for (int64_t i = 0; i < kCount; ++i) {
        const int64_t at = i - offset;
        EXPECT_EQ(to[i], at >= 0 && at < n ? at + 3 : -1) << offset << " " << n << " " << i;
      }
    }
  }
}

class Streamed : public testing::Test {
 protected:
  static std::vector<float>& input() {
    static std::vector<float> x = [] {
      std::vector<float> values(static_cast<size_t>(kRows * kCols));
      Generator generator(3);
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = i < 9973 ? static_cast<float>(generator.next_normal()) : values[i - 9973];
      }
      return values;
    }();
    return x;
  }
  /// compute(x, y, first row): of all rows at once and of each half.
  template <typename Fn>
  static void expect_same_in_parts(const Fn& compute) {
    static_assert(kRows * kCols * static_cast<int64_t>(sizeof(float)) > kStreamedFrom);
    std::vector<float> whole(input().size()), parts(input().size());
    const auto rows = [](std::vector<float>& of, int64_t begin, int64_t count) {
      return MatrixView<float>{of.data() + begin * kCols, count, kCols, kCols};
    };
    compute(MatrixView<const float>(rows(input(), 0, kRows)), rows(whole, 0, kRows), 0);
    constexpr int64_t kStep = 64;  // 1 MiB
    for (int64_t begin = 0; begin < kRows; begin += kStep) {
      const int64_t count = std::min(kStep, kRows - begin);
      compute(MatrixView<const float>(rows(input(), begin, count)), rows(parts, begin, count),
              begin);
    }
    EXPECT_TRUE(whole == parts);
  }
};

TEST_F(Streamed, Softmax) {
  expect_same_in_parts([](auto x, auto y, int64_t) { softmax(Cpu{}, x, y); });
  expect_same_in_parts([](auto x, auto y, int64_t) { softmax_backward(Cpu{}, x, x, y); });
  expect_same_in_parts([](auto x, auto y, int64_t) { log_softmax(Cpu{}, x, y); });
  expect_same_in_parts([](auto x, auto y, int64_t) { log_softmax_backward(Cpu{}, x, x, y); });
}

TEST_F(Streamed, LayerNorm) {
  std::vector<float> mean(kRows), rstd(kRows), gamma(kCols, 1.5f);
  expect_same_in_parts([&](auto x, auto y, int64_t first) {
    layer_norm(Cpu{}, x, gamma.data(), gamma.data(), 1e-5, y, mean.data() + first,
               rstd.data() + first);
  });
  expect_same_in_parts([&](auto x, auto dx, int64_t first) {
    layer_norm_backward<float>(Cpu{}, x, gamma.data(), mean.data() + first, rstd.data() + first, x,
                               dx, nullptr, nullptr);
  });
}

TEST_F(Streamed, GradientOfCrossEntropy) {
  const std::vector<int64_t> targets(kRows, 7);
  const std::vector<float> lse(kRows, 9.0f);
  const float one = 1;
  expect_same_in_parts([&](auto x, auto dx, int64_t first) {
    cross_entropy_backward<float, int64_t>(Cpu{}, x, targets.data() + first, -100,
                                           lse.data() + first, &one, &one, dx);
  });
}

TEST_F(Streamed, Pointwise) {
  expect_same_in_parts([](auto x, auto y, int64_t) {
    map(Cpu{}, GeluTanh{}, std::array<const float*, 1>{x.data}, y.data, x.rows * x.cols);
  });
  expect_same_in_parts([](auto x, auto y, int64_t) {
    map(Cpu{}, Mul{}, std::array<const float*, 2>{x.data, x.data}, y.data, x.rows * x.cols);
  });
}

}  // namespace
}  // namespace trireme::kernels
