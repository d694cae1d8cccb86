#include "core/nn/convolution.h"

#include "core/base/trace_range.h"
#include "core/nn/init.h"
#include "core/nn/parameter.h"
#include "core/ops/convolution_parts.h"
#include "core/ops/norm_factor.h"

namespace trireme {

using detail::parameter;

namespace {

/// Channels of one group, of those that `what` names.
int64_t of_group(const char* op, int64_t channels, int64_t groups, const char* what) {
  require(groups >= 1 && channels % groups == 0, op, groups, " groups must divide the ", channels,
          " ", what, " channels");
  return channels / groups;
}

/// The same options, once they make sense; `channels` are those that the weight has whole.
template <typename Options>
const Options& checked(const char* op, const Options& options, int64_t channels, const char* what) {
  of_group(op, channels, options.groups, what);
  const detail::WindowOptions windows = detail::windows_of(options);
  detail::check_window_options(op, windows);
  if constexpr (requires { options.output_padding; }) {
    detail::check_output_padding(op, detail::entries(options.output_padding), windows);
  }
  return options;
}

/// A buffer of [channels] in the precision that statistics have, counted with the parameters as
/// after Module::to.
Tensor channel_buffer(int64_t channels, double value, TensorOptions options) {
  const MemoryKindGuard kind(MemoryKind::kParameters);
  return full({channels}, value, {acc_dtype(options.dtype), options.device});
}

}  // namespace

Convolution::Convolution(const Shape& weight, int64_t out, init::Fan to_input, Generator& generator,
                         Bias bias, TensorOptions options, const init::Initializer& initializer) {
  weight_ = parameter(weight, options);
  initializer ? initializer(weight_, generator)
              : init::kaiming_normal(weight_, generator, {.fan = to_input});
  register_parameter("weight", weight_);
  if (bias == Bias::kYes) {
    bias_ = parameter({out}, options);
    init::zeros(bias_);
    register_parameter("bias", bias_);
  }
}

Conv2d::Conv2d(int64_t in, int64_t out, std::array<int64_t, 2> kernel, Generator& generator,
               Conv2dOptions options, Bias bias, TensorOptions tensor_options,
               const init::Initializer& initializer)
    : Convolution(
          {out, kernel[0], kernel[1],
           of_group("conv2d", in, checked("conv2d", options, out, "output").groups, "input")},
          out, init::Fan::kOut, generator, bias, tensor_options, initializer),
      options_(options) {}

Tensor Conv2d::forward(const Tensor& x) const {
  const TraceRange range("conv2d");
  return conv2d(x, weight(), bias(), options_);
}

ConvTranspose2d::ConvTranspose2d(int64_t in, int64_t out, std::array<int64_t, 2> kernel,
                                 Generator& generator, ConvTranspose2dOptions options, Bias bias,
                                 TensorOptions tensor_options, const init::Initializer& initializer)
    : Convolution({in, kernel[0], kernel[1],
                   of_group("conv_transpose2d", out,
                            checked("conv_transpose2d", options, in, "input").groups, "output")},
                  out, init::Fan::kIn, generator, bias, tensor_options, initializer),
      options_(options) {}

Tensor ConvTranspose2d::forward(const Tensor& x) const {
  const TraceRange range("conv_transpose2d");
  return conv_transpose2d(x, weight(), bias(), options_);
}

Conv1d::Conv1d(int64_t in, int64_t out, int64_t kernel, Generator& generator, Conv1dOptions options,
               Bias bias, TensorOptions tensor_options, const init::Initializer& initializer)
    : Convolution(
          {out, kernel,
           of_group("conv1d", in, checked("conv1d", options, out, "output").groups, "input")},
          out, init::Fan::kOut, generator, bias, tensor_options, initializer),
      options_(options) {}

Tensor Conv1d::forward(const Tensor& x) const {
  const TraceRange range("conv1d");
  return conv1d(x, weight(), bias(), options_);
}

ConvTranspose1d::ConvTranspose1d(int64_t in, int64_t out, int64_t kernel, Generator& generator,
                                 ConvTranspose1dOptions options, Bias bias,
                                 TensorOptions tensor_options, const init::Initializer& initializer)
    : Convolution({in, kernel,
                   of_group("conv_transpose1d", out,
                            checked("conv_transpose1d", options, in, "input").groups, "output")},
                  out, init::Fan::kIn, generator, bias, tensor_options, initializer),
      options_(options) {}

Tensor ConvTranspose1d::forward(const Tensor& x) const {
  const TraceRange range("conv_transpose1d");
  return conv_transpose1d(x, weight(), bias(), options_);
}

BatchNorm::BatchNorm(int64_t channels, double momentum, double eps, TensorOptions options)
    : momentum_(momentum),
      eps_(eps),
      weight_(parameter({channels}, options)),
      bias_(parameter({channels}, options)),
      running_mean_(channel_buffer(channels, 0, options)),
      running_var_(channel_buffer(channels, 1, options)) {
  detail::check_momentum("batch_norm", momentum);
  detail::check_eps("batch_norm", eps);
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

Tensor BatchNorm::forward_behind(const Conv2d& conv, const Tensor& x) const {
  if (!joins(conv)) return forward(conv.forward(x));
  const TraceRange range("conv2d_batch_norm");
  return conv2d_batch_norm(x, conv.weight(), conv.options(), frozen(), false);
}

Tensor BatchNorm::forward_relu_behind(const Conv2d& conv, const Tensor& x,
                                      const Tensor& residual) const {
  if (!joins(conv)) return forward_relu(conv.forward(x), residual);
  const TraceRange range("conv2d_batch_norm_relu");
  return conv2d_batch_norm(x, conv.weight(), conv.options(), frozen(), true, residual);
}

GroupNorm::GroupNorm(int64_t groups, int64_t channels, double eps, TensorOptions options)
    : groups_(groups),
      eps_(eps),
      weight_(parameter({channels}, options)),
      bias_(parameter({channels}, options)) {
  require(groups >= 1 && channels % groups == 0, "group_norm", groups, " groups must divide the ",
          channels, " channels");
  detail::check_eps("group_norm", eps);
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
