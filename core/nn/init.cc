#include "core/nn/init.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"

namespace trireme::init {
namespace {

void assign(const Tensor& weight, const Tensor& values) {
  NoGrad no_grad;
  copy_inplace(weight, values);
}

void require_matrix(const char* name, const Tensor& weight) {
  require(weight.defined(), name, "the weight is undefined");
  require(weight.rank() >= 2, name, "needs a matrix [in, out] or filters [out, .., in], got shape ",
          weight.shape());
}

double fan_of(const char* name, const Tensor& weight, Fan fan) {
  require_matrix(name, weight);
  const bool is_matrix = weight.rank() == 2;
  const int64_t channels = weight.size((fan == Fan::kIn) == is_matrix ? 0 : -1);
  int64_t kernel = 1;
  for (int d = 1; d + 1 < weight.rank(); ++d) kernel *= weight.size(d);
  return static_cast<double>(channels * kernel);
}

double xavier_deviation(const char* name, const Tensor& weight, double gain) {
  return gain * std::sqrt(2.0 / (fan_of(name, weight, Fan::kIn) + fan_of(name, weight, Fan::kOut)));
}

double kaiming_deviation(const char* name, const Tensor& weight, const KaimingOptions& options) {
  return gain(options.nonlinearity, options.slope) / std::sqrt(fan_of(name, weight, options.fan));
}

// A uniform distribution on [-a, a] has deviation a / sqrt(3).
void uniform_with_deviation(const Tensor& weight, double deviation, Generator& generator) {
  const double bound = std::sqrt(3.0) * deviation;
  uniform(weight, -bound, bound, generator);
}

}  // namespace

void constant(const Tensor& weight, double value) {
  NoGrad no_grad;
  fill_inplace(weight, value);
}
void zeros(const Tensor& weight) { constant(weight, 0); }
void ones(const Tensor& weight) { constant(weight, 1); }

void uniform(const Tensor& weight, double low, double high, Generator& generator) {
  require(weight.defined(), "uniform", "the weight is undefined");
  require(low <= high, "uniform", "low must not exceed high, got ", low, " and ", high);
  NoGrad no_grad;
  assign(weight,
         rand(weight.shape(), generator, {weight.dtype(), weight.device()}) * (high - low) + low);
}

void normal(const Tensor& weight, double mean, double deviation, Generator& generator) {
  require(weight.defined(), "normal", "the weight is undefined");
  require(deviation >= 0, "normal", "deviation must not be negative, got ", deviation);
  NoGrad no_grad;
  assign(weight,
         randn(weight.shape(), generator, {weight.dtype(), weight.device()}) * deviation + mean);
}

void trunc_normal(const Tensor& weight, double mean, double deviation, double low, double high,
                  Generator& generator) {
  require(weight.defined(), "trunc_normal", "the weight is undefined");
  require(deviation > 0, "trunc_normal", "deviation must be positive, got ", deviation);
  const auto below = [&](double x) {
    return 0.5 * std::erfc((mean - x) / (deviation * std::sqrt(2.0)));
  };
  require(below(high) - below(low) >= 1e-3, "trunc_normal", "[", low, ", ", high,
          "] must hold at least a thousandth of the distribution of mean ", mean, " and deviation ",
          deviation);
  std::vector<double> values(static_cast<size_t>(weight.numel()));
  for (double& value : values) {
    do {
      value = mean + deviation * generator.next_normal();
    } while (value < low || value > high);
  }
  assign(weight, from_vector(values, weight.shape()));
}

void xavier_uniform(const Tensor& weight, Generator& generator, double gain) {
  uniform_with_deviation(weight, xavier_deviation("xavier_uniform", weight, gain), generator);
}
void xavier_normal(const Tensor& weight, Generator& generator, double gain) {
  normal(weight, 0, xavier_deviation("xavier_normal", weight, gain), generator);
}

double gain(Nonlinearity nonlinearity, double slope) {
  switch (nonlinearity) {
    case Nonlinearity::kLinear:
    case Nonlinearity::kSigmoid:
      return 1;
    case Nonlinearity::kTanh:
      return 5.0 / 3;
    case Nonlinearity::kRelu:
      return std::sqrt(2.0);
    case Nonlinearity::kLeakyRelu:
      return std::sqrt(2 / (1 + slope * slope));
    case Nonlinearity::kSelu:
      return 0.75;
  }
  fail("gain", "unknown nonlinearity ", static_cast<int>(nonlinearity));
}

void kaiming_uniform(const Tensor& weight, Generator& generator, KaimingOptions options) {
  uniform_with_deviation(weight, kaiming_deviation("kaiming_uniform", weight, options), generator);
}
void kaiming_normal(const Tensor& weight, Generator& generator, KaimingOptions options) {
  normal(weight, 0, kaiming_deviation("kaiming_normal", weight, options), generator);
}

void orthogonal(const Tensor& weight, Generator& generator, double gain) {
  require_matrix("orthogonal", weight);
  const int64_t rows = weight.size(0), cols = rows > 0 ? weight.numel() / rows : 0;
  const int64_t count = std::min(rows, cols), length = std::max(rows, cols);
  // `count` normal vectors, each made orthogonal to those before it: uniform over all directions
  // that are left. Twice, because once leaves what rounding brought back.
  std::vector<double> q(static_cast<size_t>(count * length));
  const auto vector = [&](int64_t i) { return q.data() + i * length; };
  for (int64_t i = 0; i < count; ++i) {
    double* const x = vector(i);
    double norm = 0;
    do {
      for (int64_t k = 0; k < length; ++k) x[k] = generator.next_normal();
      for (int pass = 0; pass < 2; ++pass) {
        for (int64_t j = 0; j < i; ++j) {
          const double* const y = vector(j);
          const double along = std::inner_product(x, x + length, y, 0.0);
          for (int64_t k = 0; k < length; ++k) x[k] -= along * y[k];
        }
      }
      norm = std::sqrt(std::inner_product(x, x + length, x, 0.0));
    } while (norm < 1e-6);  // in the span of the others, but for chance never
    for (int64_t k = 0; k < length; ++k) x[k] *= 1 / norm;
  }
  std::vector<double> values(q.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      values[static_cast<size_t>(r * cols + c)] =
          gain * (rows <= cols ? vector(r)[c] : vector(c)[r]);
    }
  }
  assign(weight, from_vector(values, weight.shape()));
}

}  // namespace trireme::init
