// Kernels that work row by row, where the op table does not reach: extreme values, aliasing, and
// results that must not depend on the number of threads. Values and gradients are in the op table.

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/parallel_for.h"
#include "core/base/philox.h"
#include "kernels/attention.h"
#include "kernels/cross_entropy.h"
#include "kernels/cross_entropy_inplace.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/layer_norm.h"
#include "kernels/softmax.h"

namespace trireme::kernels {
namespace {

std::vector<float> draw(int64_t count, uint64_t seed) {
  Generator generator(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = static_cast<float>(generator.next_normal());
  return values;
}

/// Runs `compute` with 1, 2 and 3 threads and expects the same bits.
template <typename Fn>
void expect_same_for_any_threads(const Fn& compute) {
  const int before = num_threads();
  set_num_threads(1);
  const std::vector<float> one = compute();
  for (int threads : {2, 3}) {
    set_num_threads(threads);
    EXPECT_EQ(compute(), one) << threads << " threads";
  }
  set_num_threads(before);
}

TEST(Softmax, SurvivesLargeAndInfiniteLogits) {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> x{1e30f, 1e30f, -1e30f, -inf, 3e38f, 0};
  softmax(Cpu{}, MatrixView<const float>{x.data(), 2, 3, 3}, MatrixView<float>{x.data(), 2, 3, 3});
  EXPECT_EQ(x, (std::vector<float>{0.5f, 0.5f, 0, 0, 1, 0}));
}

TEST(Softmax, SpreadsNanOverItsRowOnly) {
  std::vector<float> x(40, 1.0f), y(40);
  x[13] = std::nanf("");
  softmax(Cpu{}, MatrixView<const float>{x.data(), 2, 20, 20},
          MatrixView<float>{y.data(), 2, 20, 20});
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(std::isnan(y[i]), i < 20) << i;
}

// The logarithm of a sum beside a logit of 1e4 would keep three digits.
TEST(CrossEntropy, KeepsItsDigitsWhereLogitsAreLarge) {
  std::vector<float> logits{1e4f, 1e4f - 1, 1e4f - 0.5f};
  const double sum = 1 + std::exp(-1.0) + std::exp(-0.5), loss = std::log(sum) + 1;
  const std::vector<int64_t> target{1};
  std::vector<float> lse(1), result(2);
  const MatrixView<float> row{logits.data(), 1, 3, 3};
  cross_entropy<float, int64_t>(Cpu{}, row, target.data(), -100, lse.data(), result.data());
  EXPECT_NEAR(result[0], loss, 1e-6);
  cross_entropy_inplace<float, int64_t>(Cpu{}, row, 3, target.data(), -100, result.data());
  EXPECT_NEAR(result[0], loss, 1e-6);
  EXPECT_NEAR(logits[0], 1 / sum, 1e-6);
  EXPECT_NEAR(logits[1], std::exp(-1.0) / sum - 1, 1e-6);
  EXPECT_NEAR(logits[2], std::exp(-0.5) / sum, 1e-6);
}

TEST(CrossEntropy, GradientOfIgnoredRowsIsZeroWhateverTheirLogits) {
  const std::vector<float> logits{std::nanf(""), 1, 2, 3};
  const std::vector<int64_t> targets{-100, 1};
  std::vector<float> lse(2), result(2), dlogits(4);
  const MatrixView<const float> x{logits.data(), 2, 2, 2};
  cross_entropy<float, int64_t>(Cpu{}, x, targets.data(), -100, lse.data(), result.data());
  const float dloss = 1;
  cross_entropy_backward<float, int64_t>(Cpu{}, x, targets.data(), -100, lse.data(), &dloss,
                                         &result[1], MatrixView<float>{dlogits.data(), 2, 2, 2});
  const float p = 1 / (1 + std::exp(1.0f));
  EXPECT_NEAR(result[0], -std::log(1 - p), 1e-6);
  EXPECT_EQ(dlogits[0], 0);
  EXPECT_EQ(dlogits[1], 0);
  EXPECT_NEAR(dlogits[2], p, 1e-6);
  EXPECT_NEAR(dlogits[3], -p, 1e-6);
}

TEST(LayerNorm, KeepsDigitsWhenTheMeanIsLarge) {
  const std::vector<float> x{10000, 10001, 10002, 10003};
  std::vector<float> y(4), mean(1), rstd(1);
  layer_norm<float>(Cpu{}, MatrixView<const float>{x.data(), 1, 4, 4}, nullptr, nullptr, 0,
                    MatrixView<float>{y.data(), 1, 4, 4}, mean.data(), rstd.data());
  EXPECT_EQ(mean[0], 10001.5f);
  EXPECT_NEAR(y[3], 1.5 / std::sqrt(1.25), 1e-6);
}

TEST(LayerNorm, GradientsDoNotDependOnThreads) {
  const int64_t rows = 700, cols = 50;
  const auto x = draw(rows * cols, 1), dy = draw(rows * cols, 2), gamma = draw(cols, 3);
  std::vector<float> y(x.size()), mean(static_cast<size_t>(rows)), rstd(mean.size());
  layer_norm<float>(Cpu{}, MatrixView<const float>{x.data(), rows, cols, cols}, gamma.data(),
                    nullptr, 1e-5, MatrixView<float>{y.data(), rows, cols, cols}, mean.data(),
                    rstd.data());
  expect_same_for_any_threads([&] {
    std::vector<float> dx(x.size()), sums(static_cast<size_t>(2 * cols));
    layer_norm_backward(
        Cpu{}, MatrixView<const float>{x.data(), rows, cols, cols}, gamma.data(), mean.data(),
        rstd.data(), MatrixView<const float>{dy.data(), rows, cols, cols},
        MatrixView<float>{dx.data(), rows, cols, cols}, sums.data(), sums.data() + cols);
    return sums;
  });
}

TEST(Embedding, GradientAddsRepeatedIdsAndDoesNotDependOnThreads) {
  const int64_t count = 5000, vocabulary = 17, features = 130;
  const auto dy = draw(count * features, 4);
  std::vector<int64_t> ids(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) ids[static_cast<size_t>(i)] = i * i % (vocabulary - 1);
  expect_same_for_any_threads([&] {
    std::vector<float> dweight(static_cast<size_t>(vocabulary * features), 5.0f);
    embedding_backward<float, int64_t>(
        Cpu{}, MatrixView<const float>{dy.data(), count, features, features}, ids.data(),
        MatrixView<float>{dweight.data(), vocabulary, features, features});
    EXPECT_EQ(dweight.back(), 0) << "no id names the last row";
    return dweight;
  });
}

TEST(Dropout, DropsTheShareAskedForAndDoesNotDependOnThreads) {
  const int64_t count = 100003;
  const std::vector<float> x(static_cast<size_t>(count), 3.0f);
  expect_same_for_any_threads([&] {
    std::vector<float> y(x.size());
    dropout(Cpu{}, x.data(), y.data(), count, 0.25, 11, 5);
    int64_t dropped = 0;
    for (float v : y) {
      EXPECT_TRUE(v == 0 || v == 4.0f) << v;
      dropped += v == 0;
    }
    EXPECT_NEAR(static_cast<double>(dropped) / count, 0.25, 0.01);
    return y;
  });
}

TEST(Attention, DoesNotSeeTheFutureAndSurvivesLargeScores) {
  const int64_t time = 100, dim = 4;
  auto q = draw(time * dim, 6), k = draw(time * dim, 7), v = draw(time * dim, 8);
  for (float& value : q) value *= 1e3f;
  std::vector<float> before(q.size()), after(q.size()), lse(static_cast<size_t>(time));
  const auto view = [&](std::vector<float>& x) {
    return StridedView<float>{x.data(), {1, 1, time, dim}, {0, 0, dim, 1}};
  };
  attention<float>(Cpu{}, view(q), view(k), view(v), {.causal = true}, view(before), lse.data());
  const int64_t changed = 70;
  for (int64_t i = changed * dim; i < time * dim; ++i) {
    q[static_cast<size_t>(i)] = k[static_cast<size_t>(i)] = v[static_cast<size_t>(i)] = 100;
  }
  attention<float>(Cpu{}, view(q), view(k), view(v), {.causal = true}, view(after), lse.data());
  for (int64_t i = 0; i < changed * dim; ++i) {
    ASSERT_EQ(before[static_cast<size_t>(i)], after[static_cast<size_t>(i)]) << i;
    ASSERT_TRUE(std::isfinite(before[static_cast<size_t>(i)])) << i;
  }
}

}  // namespace
}  // namespace trireme::kernels
