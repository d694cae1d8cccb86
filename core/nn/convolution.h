// The layers of convolutional networks. Images are [batch, height, width, channels], sequences
// [batch, length, channels]. Each layer holds its parameters and calls the op of its name
// (core/ops/ops.h, core/ops/convolutions.h), which documents shapes and errors.

#pragma once

#include "core/nn/layers.h"
#include "core/ops/conv2d_norm.h"

namespace trireme {

/// What the convolutions hold: a filter, torch.nn's with the channels last, and a bias. They start
/// by Kaiming's rule for the gradients or as the initializer says, with zero bias.
class Convolution : public Module {
 public:
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

 protected:
  /// `to_input`: the fan that counts what one element of x has a part in.
  Convolution(const Shape& weight, int64_t out, init::Fan to_input, Generator& generator, Bias bias,
              TensorOptions options, const init::Initializer& initializer);

 private:
  Tensor weight_;
  Tensor bias_;  // undefined without bias
};

/// weight is [out, kernel height, kernel width, in / groups].
class Conv2d : public Convolution {
 public:
  Conv2d(int64_t in, int64_t out, std::array<int64_t, 2> kernel, Generator& generator,
         Conv2dOptions options = {}, Bias bias = Bias::kYes, TensorOptions tensor_options = {},
         const init::Initializer& initializer = {});
  Tensor forward(const Tensor& x) const;
  const Conv2dOptions& options() const { return options_; }

 private:
  Conv2dOptions options_;
};

/// weight is [in, kernel height, kernel width, out / groups].
class ConvTranspose2d : public Convolution {
 public:
  ConvTranspose2d(int64_t in, int64_t out, std::array<int64_t, 2> kernel, Generator& generator,
                  ConvTranspose2dOptions options = {}, Bias bias = Bias::kYes,
                  TensorOptions tensor_options = {}, const init::Initializer& initializer = {});
  Tensor forward(const Tensor& x) const;

 private:
  ConvTranspose2dOptions options_;
};

/// weight is [out, kernel, in / groups].
class Conv1d : public Convolution {
 public:
  Conv1d(int64_t in, int64_t out, int64_t kernel, Generator& generator, Conv1dOptions options = {},
         Bias bias = Bias::kYes, TensorOptions tensor_options = {},
         const init::Initializer& initializer = {});
  Tensor forward(const Tensor& x) const;

 private:
  Conv1dOptions options_;
};

/// weight is [in, kernel, out / groups].
class ConvTranspose1d : public Convolution {
 public:
  ConvTranspose1d(int64_t in, int64_t out, int64_t kernel, Generator& generator,
                  ConvTranspose1dOptions options = {}, Bias bias = Bias::kYes,
                  TensorOptions tensor_options = {}, const init::Initializer& initializer = {});
  Tensor forward(const Tensor& x) const;

 private:
  ConvTranspose1dOptions options_;
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
  bool joins(const Conv2d& conv) const { return !is_training() && !conv.bias(); }
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
