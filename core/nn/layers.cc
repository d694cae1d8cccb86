#include "core/nn/layers.h"

#include <cmath>

#include "core/base/trace_range.h"
#include "core/nn/parameter.h"
#include "core/ops/norm_factor.h"

namespace trireme {

using detail::parameter;

Linear::Linear(int64_t in, int64_t out, Generator& generator, Bias bias, TensorOptions options,
               const init::Initializer& initializer)
    : weight_(parameter({in, out}, options)) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  initializer ? initializer(weight_, generator) : init::uniform(weight_, -bound, bound, generator);
  register_parameter("weight", weight_);
  if (bias == Bias::kYes) {
    bias_ = parameter({out}, options);
    init::zeros(bias_);
    register_parameter("bias", bias_);
  }
}

Tensor Linear::forward(const Tensor& x) const {
  const TraceRange range("linear");
  return linear(x, weight_, bias_);
}

Embedding::Embedding(int64_t vocabulary, int64_t features, Generator& generator,
                     TensorOptions options, const init::Initializer& initializer)
    : weight_(parameter({vocabulary, features}, options)) {
  initializer ? initializer(weight_, generator) : init::normal(weight_, 0, 1, generator);
  register_parameter("weight", weight_);
}

Tensor Embedding::forward(const Tensor& ids) const {
  const TraceRange range("embedding");
  return embedding(weight_, ids);
}

LayerNorm::LayerNorm(int64_t features, double eps, TensorOptions options, Bias bias)
    : weight_(parameter({features}, options)), eps_(eps) {
  detail::check_eps("layer_norm", eps);
  init::ones(weight_);
  register_parameter("weight", weight_);
  if (bias == Bias::kYes) {
    bias_ = parameter({features}, options);
    init::zeros(bias_);
    register_parameter("bias", bias_);
  }
}

Tensor LayerNorm::forward(const Tensor& x) const {
  const TraceRange range("layer_norm");
  return layer_norm(x, weight_, bias_, eps_);
}

NormalisedSum LayerNorm::forward(const Tensor& x, const Tensor& residual) const {
  const TraceRange range("layer_norm");
  return residual_layer_norm(x, residual, weight_, bias_, eps_);
}

RMSNorm::RMSNorm(int64_t features, double eps, TensorOptions options)
    : weight_(parameter({features}, options)), eps_(eps) {
  detail::check_eps("rms_norm", eps);
  init::ones(weight_);
  register_parameter("weight", weight_);
}

Tensor RMSNorm::forward(const Tensor& x) const {
  const TraceRange range("rms_norm");
  return rms_norm(x, weight_, eps_);
}

NormalisedSum RMSNorm::forward(const Tensor& x, const Tensor& residual) const {
  const TraceRange range("rms_norm");
  return residual_rms_norm(x, residual, weight_, eps_);
}

Dropout::Dropout(double p, Generator& generator) : p_(p), generator_(generator.next_u64()) {
  require(p >= 0 && p < 1, "dropout", "probability must be in [0, 1), got ", p);
  register_generator("generator", generator_);
}

Tensor Dropout::forward(const Tensor& x) const {
  return is_training() && p_ > 0 ? dropout(x, p_, generator_) : x;
}

}  // namespace trireme
