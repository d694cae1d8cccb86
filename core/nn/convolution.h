// The layers of convolutional networks. Images are [batch, height, width, channels]. Each layer
// holds its parameters and calls the op of its name (core/ops/ops.h), which documents shapes and
// errors.

#pragma once

#include "core/nn/layers.h"
#include "core/ops/conv2d_norm.h"

namespace trireme {

/// weight is [out, kernel height, kernel width, in / groups]: torch.nn.Conv2d's with the channels
/// last. Starts by Kaiming's rule for the gradients (fan out) or as the initializer says, with zero
/// bias.
class Conv2d : public Module {
 public:
  Conv2d(int64_t in, int64_t out, std::array<int64_t, 2> kernel, Generator& generator,
         Conv2dOptions options = {}, Bias bias = Bias::kYes, TensorOptions tensor_options = {},
         const init::Initializer& initializer = {});
  Tensor forward(const Tensor& x) const;
  const Tensor& weight() const { return weight_; }
  const Conv2dOptions& options() const { return options_; }
  bool has_bias() const { return bias_.defined(); }

 private:
  Conv2dOptions options_;
  Tensor weight_;
  Tensor bias_;  // undefined without bias
};

/// Normalises each channel with the statistics of the batch while training, and with running
/// averages of them (the buffers running_mean and running_var) otherwise. Every rank averages over
/// its own batches; DistributedDataParallel::broadcast_buffers makes them rank 0's everywhere.
class BatchNorm : public Module {
 public:
  explicit BatchNorm(int64_t channels, double momentum = 0.1, double eps = 1e-5,
                     TensorOptions options = {});
  Tensor forward(const Tensor& x) const;
  /// relu(forward(x) + residual), fused. residual: like x, or undefined.
  Tensor forward_relu(const Tensor& x, const Tensor& residual = {}) const;
  /// forward(conv.forward(x)) and relu(forward(conv.forward(x)) + residual): one op in evaluation,
  /// if the convolution has no bias (core/ops/conv2d_norm.h).
  Tensor forward_behind(const Conv2d& conv, const Tensor& x) const;
  Tensor forward_relu_behind(const Conv2d& conv, const Tensor& x,
                             const Tensor& residual = {}) const;
  const Tensor& weight() const { return weight_; }

 private:
  BatchNormOptions options() const;
  bool joins(const Conv2d& conv) const { return !is_training() && !conv.has_bias(); }
  FrozenNorm frozen() const { return {weight_, bias_, running_mean_, running_var_, eps_}; }

  double momentum_, eps_;
  Tensor weight_, bias_;
  Tensor running_mean_, running_var_;
};

/// Normalises each image over all positions of the channels of a group: no statistics of the batch,
/// so training and evaluation are the same, and so is every batch size.
class GroupNorm : public Module {
 public:
  GroupNorm(int64_t groups, int64_t channels, double eps = 1e-5, TensorOptions options = {});
  Tensor forward(const Tensor& x) const;

 private:
  int64_t groups_;
  double eps_;
  Tensor weight_, bias_;
};

}  // namespace trireme
