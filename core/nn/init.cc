#include "core/nn/init.h"

#include <cmath>

#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"

namespace trireme::init {
namespace {

void assign(const Tensor& weight, const Tensor& values) {
  NoGrad no_grad;
  copy_inplace(weight, values);
}

double fan_of(const char* name, const Tensor& weight, Fan fan) {
  require(weight.rank() == 2 || weight.rank() == 4, name,
          "needs a matrix [in, out] or filters [out, height, width, in], got shape ",
          weight.shape());
  const bool is_matrix = weight.rank() == 2;
  const int64_t channels = weight.size((fan == Fan::kIn) == is_matrix ? 0 : -1);
  return static_cast<double>(is_matrix ? channels : channels * weight.size(1) * weight.size(2));
}

double xavier_deviation(const char* name, const Tensor& weight, double gain) {
  return gain * std::sqrt(2.0 / (fan_of(name, weight, Fan::kIn) + fan_of(name, weight, Fan::kOut)));
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
  NoGrad no_grad;
  assign(weight,
         rand(weight.shape(), generator, {weight.dtype(), weight.device()}) * (high - low) + low);
}

void normal(const Tensor& weight, double mean, double deviation, Generator& generator) {
  NoGrad no_grad;
  assign(weight,
         randn(weight.shape(), generator, {weight.dtype(), weight.device()}) * deviation + mean);
}

void trunc_normal(const Tensor& weight, double mean, double deviation, double low, double high,
                  Generator& generator) {
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
void kaiming_uniform(const Tensor& weight, Generator& generator, Fan fan) {
  uniform_with_deviation(weight, std::sqrt(2.0 / fan_of("kaiming_uniform", weight, fan)),
                         generator);
}
void kaiming_normal(const Tensor& weight, Generator& generator, Fan fan) {
  normal(weight, 0, std::sqrt(2.0 / fan_of("kaiming_normal", weight, fan)), generator);
}

}  // namespace trireme::init
