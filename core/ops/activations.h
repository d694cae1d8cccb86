// Activations beyond those of ops.h. Pointwise, results and gradients by PyTorch's formulas.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// x sigmoid(x), also called swish.
Tensor silu(const Tensor& x);
/// x where x > 0, else alpha (e^x - 1). Clevert, Unterthiner, Hochreiter, "Fast and accurate deep
/// network learning by exponential linear units", 2016.
Tensor elu(const Tensor& x, double alpha = 1);
/// log(1 + e^(beta x)) / beta, and x where beta x > threshold. Requires beta > 0.
Tensor softplus(const Tensor& x, double beta = 1, double threshold = 20);
/// x where x > 0, else slope x.
Tensor leaky_relu(const Tensor& x, double slope = 0.01);
/// x tanh(softplus(x)). Misra, "Mish: a self regularized non-monotonic activation function", 2019.
Tensor mish(const Tensor& x);

/// a sigmoid(b), where a and b are the halves of x along `dim`, whose extent must be even. Dauphin
/// et al., "Language modeling with gated convolutional networks", 2017.
Tensor glu(const Tensor& x, int dim = -1);
/// silu(gate) x in one pass: between the projections of a Llama block's feed-forward layer. Both of
/// one shape. Shazeer, "GLU variants improve transformer", 2020.
Tensor swiglu(const Tensor& gate, const Tensor& x);

}  // namespace trireme
