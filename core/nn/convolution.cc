#include "core/nn/convolution.h"

#include "core/base/trace_range.h"
#include "core/nn/init.h"
#include "core/nn/parameter.h"

namespace trireme {

using detail::parameter;

namespace {

/// A buffer of [channels] in the precision that statistics have, counted with the parameters as
/// after Module::to.
Tensor channel_buffer(int64_t channels, double value, TensorOptions options) {
  const MemoryKindGuard kind(MemoryKind::kParameters);
  return full({channels}, value, {acc_dtype(options.dtype), options.device});
}

}  // namespace

Conv2d::Conv2d(int64_t in, int64_t out, std::array<int64_t, 2> kernel, Generator& generator,
               Conv2dOptions options, Bias bias, TensorOptions tensor_options,
               const init::Initializer& initializer)
    : options_(options) {
  require(options.groups >= 1 && in % options.groups == 0, "conv2d", options.groups,
          " groups must divide the ", in, " input channels");
  weight_ = parameter({out, kernel[0], kernel[1], in / options.groups}, tensor_options);
  initializer ? initializer(weight_, generator)
              : init::kaiming_normal(weight_, generator, {.fan = init::Fan::kOut});
  register_parameter("weight", weight_);
  if (bias == Bias::kYes) {
    bias_ = parameter({out}, tensor_options);
    init::zeros(bias_);
    register_parameter("bias", bias_);
  }
}

Tensor Conv2d::forward(const Tensor& x) const {
  const TraceRange range("conv2d");
  return conv2d(x, weight_, bias_, options_);
}

BatchNorm::BatchNorm(int64_t channels, double momentum, double eps, TensorOptions options)
    : momentum_(momentum),
      eps_(eps),
      weight_(parameter({channels}, options)),
      bias_(parameter({channels}, options)),
      running_mean_(channel_buffer(channels, 0, options)),
      running_var_(channel_buffer(channels, 1, options)) {
  init::ones(weight_);
  init::zeros(bias_);
  register_parameter("weight", weight_);
  register_parameter("bias", bias_);
  register_buffer("running_mean", running_mean_);
  register_buffer("running_var", running_var_);
}

BatchNormOptions BatchNorm::options() const {
  return {.training = is_training(), .momentum = momentum_, .eps = eps_};
}

Tensor BatchNorm::forward(const Tensor& x) const {
  const TraceRange range("batch_norm");
  return batch_norm(x, weight_, bias_, running_mean_, running_var_, options());
}

Tensor BatchNorm::forward_relu(const Tensor& x, const Tensor& residual) const {
  const TraceRange range("batch_norm_relu");
  return batch_norm_relu(x, residual, weight_, bias_, running_mean_, running_var_, options());
}

GroupNorm::GroupNorm(int64_t groups, int64_t channels, double eps, TensorOptions options)
    : groups_(groups),
      eps_(eps),
      weight_(parameter({channels}, options)),
      bias_(parameter({channels}, options)) {
  require(groups >= 1 && channels % groups == 0, "group_norm", groups, " groups must divide the ",
          channels, " channels");
  init::ones(weight_);
  init::zeros(bias_);
  register_parameter("weight", weight_);
  register_parameter("bias", bias_);
}

Tensor GroupNorm::forward(const Tensor& x) const {
  const TraceRange range("group_norm");
  return group_norm(x, groups_, weight_, bias_, eps_);
}

}  // namespace trireme
