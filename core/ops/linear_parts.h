// The products of a linear layer, for the ops that contain one. No history.

#pragma once

#include "core/autograd/gradient_home.h"
#include "core/ops/as_rows.h"

namespace trireme::detail {

/// A matrix, or the dense form of anything else, so that its leading dimensions are one.
inline Tensor flat(const Tensor& x) { return x.rank() == 2 ? x : dense(x); }

/// What linear(x, weight, bias) asks of its operands; bias may be undefined.
void check_linear(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias);
/// x weight + bias: [.., out].
Tensor linear_result(const Tensor& x, const Tensor& weight, const Tensor& bias);
/// dy [.., out] x weight^T [out, in] -> `shape`, [.., in].
Tensor linear_input_gradient(const Tensor& dy, const Tensor& weight, const Shape& shape);
/// x^T [in, rows] x dy [rows, out] -> [in, out].
Tensor linear_weight_gradient(const Tensor& x, const Tensor& dy, const GradientHome& home);
/// dy [.., out] -> [out].
Tensor linear_bias_gradient(const Tensor& dy, const GradientHome& home);

}  // namespace trireme::detail
