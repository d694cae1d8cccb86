// The layers of MLPs and transformers. Each holds its parameters and calls the op of its name
// (core/ops/ops.h), which documents shapes and errors. Profilers see the forward of a layer as a
// range with its name ("linear"). Where a layer takes an init::Initializer, that starts its weight
// in place of what is said here.

#pragma once

#include "core/nn/init.h"
#include "core/nn/module.h"
#include "core/ops/ops.h"

namespace trireme {

enum class Bias { kNo, kYes };

/// y = x weight + bias. weight is [in, out], the layout of GPT-2's checkpoints (the transpose of
/// torch.nn.Linear's). Starts with the uniform distribution of deviation 1 / sqrt(3 in) and zero
/// bias.
class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, Generator& generator, Bias bias = Bias::kYes,
         TensorOptions options = {}, const init::Initializer& initializer = {});
  Tensor forward(const Tensor& x) const;
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

 private:
  Tensor weight_;
  Tensor bias_;  // undefined without bias
};

/// Rows of weight [vocabulary, features], chosen by ids. Starts standard normal.
class Embedding : public Module {
 public:
  Embedding(int64_t vocabulary, int64_t features, Generator& generator, TensorOptions options = {},
            const init::Initializer& initializer = {});
  Tensor forward(const Tensor& ids) const;
  const Tensor& weight() const { return weight_; }

 private:
  Tensor weight_;
};

class LayerNorm : public Module {
 public:
  explicit LayerNorm(int64_t features, double eps = 1e-5, TensorOptions options = {},
                     Bias bias = Bias::kYes);
  Tensor forward(const Tensor& x) const;
  /// x + residual, and that normalised.
  NormalisedSum forward(const Tensor& x, const Tensor& residual) const;

 private:
  Tensor weight_;
  Tensor bias_;  // undefined without bias
  double eps_;
};

/// Normalises by the root mean square alone: no mean is subtracted, and there is no bias.
class RMSNorm : public Module {
 public:
  explicit RMSNorm(int64_t features, double eps = 1e-5, TensorOptions options = {});
  Tensor forward(const Tensor& x) const;
  /// x + residual, and that normalised.
  NormalisedSum forward(const Tensor& x, const Tensor& residual) const;

 private:
  Tensor weight_;
  double eps_;
};

/// Drops elements with probability p while training, passes everything through otherwise. Has a
/// random stream of its own, started from `generator`, so that layers draw different masks.
class Dropout : public Module {
 public:
  Dropout(double p, Generator& generator);
  Tensor forward(const Tensor& x) const;
  double p() const { return p_; }
  /// The stream, for ops that drop by themselves.
  Generator& generator() const { return generator_; }

 private:
  double p_;
  mutable Generator generator_;  // forward advances it
};

}  // namespace trireme
