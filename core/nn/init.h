// Initial values of parameters, written in place. They need no NoGrad guard and leave no history.
//
// fan_in and fan_out follow the weight layouts: [in, out] of Linear, and [out, kernel height,
// kernel width, in] of Conv2d, where each counts once per kernel element. Each advances the
// generator.

#pragma once

#include "core/base/philox.h"
#include "core/tensor/tensor.h"

namespace trireme::init {

void zeros(const Tensor& weight);
void ones(const Tensor& weight);
void constant(const Tensor& weight, double value);
void uniform(const Tensor& weight, double low, double high, Generator& generator);
void normal(const Tensor& weight, double mean, double deviation, Generator& generator);
/// Normal, drawn again outside [low, high]. Requires that at least one draw in 1000 falls inside.
void trunc_normal(const Tensor& weight, double mean, double deviation, double low, double high,
                  Generator& generator);
/// Keeps the variance of activations and gradients: Glorot, Bengio, "Understanding the difficulty
/// of training deep feedforward neural networks", 2010. Requires rank 2 or 4.
void xavier_uniform(const Tensor& weight, Generator& generator, double gain = 1);
void xavier_normal(const Tensor& weight, Generator& generator, double gain = 1);
/// For layers followed by a ReLU: He et al., "Delving deep into rectifiers", 2015. kIn keeps the
/// variance of activations, kOut that of gradients. Requires rank 2 or 4.
enum class Fan { kIn, kOut };
void kaiming_uniform(const Tensor& weight, Generator& generator, Fan fan = Fan::kIn);
void kaiming_normal(const Tensor& weight, Generator& generator, Fan fan = Fan::kIn);

}  // namespace trireme::init
