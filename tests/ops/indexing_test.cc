// What the op table does not say of indexing, ordering and statistics: ties, NaN, zeros, and
// gradients where calculus has none.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/autograd/backward.h"
#include "core/ops/ops.h"

namespace trireme {
namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();
using Doubles = std::vector<double>;
using Integers = std::vector<int64_t>;

Tensor numbers(const Doubles& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}
Tensor ids(const Integers& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}

/// The gradient of the sum of op(x).
template <typename Op>
Doubles gradient(const Doubles& values, const Op& op) {
  const Tensor x = numbers(values).set_requires_grad();
  backward(sum(op(x)));
  return x.grad().to_vector<double>();
}

TEST(Sort, KeepsTheOrderOfEqualElementsBothWays) {
  const Tensor x = numbers({2, 1, 2, -0.0, 1, 0.0});
  EXPECT_EQ(argsort(x).to_vector<int64_t>(), (Integers{3, 5, 1, 4, 0, 2}));
  EXPECT_EQ(argsort(x, 0, Order::kDescending).to_vector<int64_t>(), (Integers{0, 2, 1, 4, 3, 5}));
}

TEST(Sort, TakesNanForTheLargest) {
  const Tensor x = numbers({kNan, INFINITY, -INFINITY, -kNan, 1});
  for (DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16}) {
    EXPECT_EQ(argsort(cast(x, dtype)).to_vector<int64_t>(), (Integers{2, 4, 1, 0, 3})) << dtype;
    EXPECT_EQ(topk(cast(x, dtype), 3).indices.to_vector<int64_t>(), (Integers{0, 3, 1})) << dtype;
  }
}

TEST(Sort, OrdersTheWholeRangeOfIntegers) {
  const int64_t low = std::numeric_limits<int64_t>::min(),
                high = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(argsort(ids({high, 0, low, -1})).to_vector<int64_t>(), (Integers{2, 3, 1, 0}));
}

TEST(Min, FindsTheFirstOfEqualElementsAndAnyNan) {
  EXPECT_EQ(argmin(numbers({3, 1, 2, 1}), 0).item(), 1);
  EXPECT_EQ(argmin(numbers({3, kNan, 0, kNan}), 0).item(), 1);
  EXPECT_TRUE(std::isnan(min(numbers({3, kNan, 0})).item()));
  EXPECT_EQ(gradient({3, 1, 1}, [](const Tensor& x) { return min(x); }), (Doubles{0, 1, 0}));
}

TEST(Comparisons, WithNanAreFalseButForNotEqual) {
  const Tensor x = numbers({kNan}), one = numbers({1});
  for (auto* op : {+[](const Tensor&a, const Tensor&b) { return equal(a, b); },
                   +[](const Tensor&a, const Tensor&b) { return less(a, b); },
                   +[](const Tensor&a, const Tensor&b) { return less_equal(a, b); },
                   +[](const Tensor&a, const Tensor&b) { return greater(a, b); },
                   +[](const Tensor&a, const Tensor&b) { return greater_equal(a, b); }}) {
    EXPECT_FALSE(op(x, one).item());
    EXPECT_FALSE(op(one, x).item());
    EXPECT_FALSE(op(x, x).item());
  }
  EXPECT_TRUE(not_equal(x, x).item());
  EXPECT_TRUE(not_equal(x, 1).item());
}

TEST(Prod, HasExactGradientsWhereFactorsAreZero) {
  const auto of = [](const Doubles& x) {
    return gradient(x, [](const Tensor& t) { return prod(t); });
  };
  EXPECT_EQ(of({2, 0, 3}), (Doubles{0, 6, 0}));
  EXPECT_EQ(of({0, 5, 0}), (Doubles{0, 0, 0}));
  EXPECT_EQ(prod(ids({1 << 30, 1 << 30})).item(), std::pow(2.0, 60));
  EXPECT_EQ(prod(zeros({0})).item(), 1);
}

TEST(Norm, HasAGradientOfZeroAtZero) {
  for (double p : {0.5, 1.0, 2.0, 3.0, double{INFINITY}}) {
    const Doubles g = gradient({0, 0}, [p](const Tensor& x) { return norm(x, p); });
    EXPECT_EQ(g, (Doubles{0, 0})) << "p = " << p;
  }
  EXPECT_EQ(gradient({5, 0, 0}, [](const Tensor& x) { return norm(x); }), (Doubles{1, 0, 0}));
  EXPECT_EQ(gradient({1, 0}, [](const Tensor& x) { return norm(x, 0.5); })[1], 0);
}

TEST(Norm, OfF16DoesNotOverflowInside) {
  EXPECT_EQ(norm(full({4}, 1000, {DType::kF16})).item(), 2000);
}

TEST(Var, OfOneElementIsNanUnlessItIsTheBiasedOne) {
  const Tensor x = numbers({5});
  EXPECT_TRUE(std::isnan(var(x).item()));
  EXPECT_EQ(var(x, VarOptions{.correction = 0}).item(), 0);
  EXPECT_EQ(gradient({2, 2, 2}, [](const Tensor& t) { return std(t); }), (Doubles{0, 0, 0}));
}

TEST(ScatterAdd, GivesTheSameBitsWhateverTheOrderOfThreads) {
  Generator generator(3);
  const Tensor src = randn({20000}, generator),
               index = cast(rand({20000}, generator) * 7.0, DType::kI64);
  std::vector<float> want(7, 0);
  const auto values = src.to_vector<float>();
  const auto places = index.to_vector<int64_t>();
  for (size_t i = 0; i < values.size(); ++i) want[static_cast<size_t>(places[i])] += values[i];
  EXPECT_EQ(scatter_add(zeros({7}), 0, index, src).to_vector<float>(), want);
}

TEST(Chunk, GivesFewerPiecesWhereTheyDoNotNeedToBeAsMany) {
  const std::vector<Tensor> parts = chunk(arange(6), 4);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[2].to_vector<int64_t>(), (Integers{4, 5}));
  EXPECT_EQ(split(arange(5), 2).size(), 3u);
  EXPECT_EQ(split(zeros({0}), 2).size(), 1u);
}

TEST(OneHot, CountsTheClassesWhereTheyAreNotGiven) {
  EXPECT_EQ(one_hot(ids({1, 2})).to_vector<int64_t>(), (Integers{0, 1, 0, 0, 0, 1}));
}

TEST(Ranges, AreExactAtTheirEnds) {
  EXPECT_EQ(arange(1.0, 2.0, 0.25, {DType::kF64}).to_vector<double>(),
            (Doubles{1, 1.25, 1.5, 1.75}));
  EXPECT_EQ(arange(5.0, 0.0, -2, {DType::kI64}).to_vector<int64_t>(), (Integers{5, 3, 1}));
  EXPECT_EQ(arange(3.0, 1.0).numel(), 0);
  const Doubles thirds = linspace(0, 0.3, 4, {DType::kF64}).to_vector<double>();
  EXPECT_EQ(thirds.front(), 0);
  EXPECT_EQ(thirds.back(), 0.3);
  EXPECT_EQ(linspace(2, 5, 1, {DType::kF64}).to_vector<double>(), (Doubles{2}));
  EXPECT_EQ(arange(300, {DType::kBF16}).to_vector<double>()[299], 300) << "rounded to 8 bits";
}

TEST(Addmm, DoesNotReadWhatIsTimesZero) {
  const Tensor nothing = full({2, 2}, kNan, {DType::kF64});
  const Tensor one = ones({2, 2}, {DType::kF64});
  EXPECT_EQ(addmm(nothing, one, one, 0).to_vector<double>(), Doubles(4, 2));
}

}  // namespace
}  // namespace trireme
