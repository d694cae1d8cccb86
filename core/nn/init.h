// Initial values of parameters, written in place. They need no NoGrad guard and leave no history.
//
// fan_in and fan_out follow the weight layouts: [in, out] of Linear, and [out, kernel .., in] of
// convolutions, where each counts once per kernel element. Each advances the generator.
//
//   Linear layer(256, 64, generator, Bias::kYes, {},
//                [](const Tensor& w, Generator& g) { init::orthogonal(w, g); });

#pragma once

#include <functional>

#include "core/base/philox.h"
#include "core/tensor/tensor.h"

namespace trireme::init {

/// What layers take to start a weight.
using Initializer = std::function<void(const Tensor& weight, Generator& generator)>;

void zeros(const Tensor& weight);
void ones(const Tensor& weight);
void constant(const Tensor& weight, double value);
void uniform(const Tensor& weight, double low, double high, Generator& generator);
void normal(const Tensor& weight, double mean, double deviation, Generator& generator);
/// Normal, drawn again outside [low, high]. Requires that at least one draw in 1000 falls inside.
void trunc_normal(const Tensor& weight, double mean, double deviation, double low, double high,
                  Generator& generator);

/// By how much a weight's deviation must exceed 1 / sqrt(fan) so that the activation behind it
/// keeps the variance. relu and leaky_relu: He et al., 2015; selu: what makes its network
/// self-normalising needs 1, 3/4 is the usual compromise (Klambauer et al., "Self-normalizing
/// neural networks", 2017); tanh: 5/3, near its fixed point.
enum class Nonlinearity { kLinear, kSigmoid, kTanh, kRelu, kLeakyRelu, kSelu };
/// `slope` of kLeakyRelu: that of its negative side.
double gain(Nonlinearity nonlinearity, double slope = 0.01);

/// Keeps the variance of activations and gradients: Glorot, Bengio, "Understanding the difficulty
/// of training deep feedforward neural networks", 2010. Requires rank 2 or more.
void xavier_uniform(const Tensor& weight, Generator& generator, double gain = 1);
void xavier_normal(const Tensor& weight, Generator& generator, double gain = 1);

/// kIn keeps the variance of activations, kOut that of gradients.
enum class Fan { kIn, kOut };
struct KaimingOptions {
  Fan fan = Fan::kIn;
  Nonlinearity nonlinearity = Nonlinearity::kRelu;  // behind the layer
  double slope = 0.01;                              // of kLeakyRelu
};
/// Deviation gain / sqrt(fan): He et al., "Delving deep into rectifiers", 2015. Requires rank 2 or
/// more.
void kaiming_uniform(const Tensor& weight, Generator& generator, KaimingOptions options = {});
void kaiming_normal(const Tensor& weight, Generator& generator, KaimingOptions options = {});

/// gain times a matrix with orthonormal rows or columns, whichever are fewer, uniform over all
/// such: neither lengths nor angles change on the way through deep linear networks. Filters are
/// matrices [out, the rest]. Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics
/// of learning in deep linear neural networks", 2014. Requires rank 2 or more; computed on the CPU,
/// in time longer x shorter^2.
void orthogonal(const Tensor& weight, Generator& generator, double gain = 1);

}  // namespace trireme::init
