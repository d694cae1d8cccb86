// Reductions beyond sum, mean and max. Part of core/ops/ops.h.
//
// The 16-bit types are computed in f32 and rounded once.

#pragma once

#include <initializer_list>
#include <span>

#include "core/ops/keep_dim.h"
#include "core/tensor/tensor.h"

namespace trireme {

Tensor min(const Tensor& x);  // the gradient goes to the first smallest element
Tensor min(const Tensor& x, int dim, KeepDim keep = KeepDim::kNo);
/// Index of the smallest element along `dim`, first one on ties; i64, `dim` removed. A NaN counts
/// as smallest, as it does as largest in argmax.
Tensor argmin(const Tensor& x, int dim);

/// Of integers and bool in i64. The product of nothing is 1. Gradients are exact where factors are
/// 0.
Tensor prod(const Tensor& x);
Tensor prod(const Tensor& x, int dim, KeepDim keep = KeepDim::kNo);
/// y[i] = x[0] + .. + x[i] along `dim`. Summed in f64; integers and bool in i64.
Tensor cumsum(const Tensor& x, int dim);

struct VarOptions {
  double correction = 1;  // to the number of elements; 1: unbiased (Bessel)
  KeepDim keep = KeepDim::kNo;
};
/// Sum of (x - mean)^2 over (count - correction), at least 0: NaN where that is 0 / 0.
Tensor var(const Tensor& x, VarOptions options = {});
Tensor var(const Tensor& x, std::span<const int> dims, VarOptions options = {});
Tensor var(const Tensor& x, std::initializer_list<int> dims, VarOptions options = {});
Tensor var(const Tensor& x, int dim, VarOptions options = {});
/// sqrt(var(..)), with a gradient of 0 where it is 0.
Tensor std(const Tensor& x, VarOptions options = {});
Tensor std(const Tensor& x, std::span<const int> dims, VarOptions options = {});
Tensor std(const Tensor& x, std::initializer_list<int> dims, VarOptions options = {});
Tensor std(const Tensor& x, int dim, VarOptions options = {});

/// (sum of |x|^p)^(1/p): p = 1, 2, any other positive one, infinity (the largest |x|), -infinity
/// (the smallest), 0 (how many are not 0). The gradient is 0 where the norm is 0, and for p < 1
/// where x is; that of p = +-infinity goes to the first such element.
Tensor norm(const Tensor& x, double p = 2);
Tensor norm(const Tensor& x, double p, std::span<const int> dims, KeepDim keep = KeepDim::kNo);
Tensor norm(const Tensor& x, double p, std::initializer_list<int> dims,
            KeepDim keep = KeepDim::kNo);

}  // namespace trireme
