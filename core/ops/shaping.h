// Cutting, joining and padding. Part of core/ops/ops.h.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

/// The elements in reverse order along each of `dims`. Copies: strides are never negative.
Tensor flip(const Tensor& x, std::span<const int> dims);
Tensor flip(const Tensor& x, std::initializer_list<int> dims);
/// `value` around x: padding is {before, after} of the last dimension, then of the one before it,
/// and so on, as in PyTorch. A negative count cuts off.
Tensor pad(const Tensor& x, std::span<const int64_t> padding, double value = 0);
Tensor pad(const Tensor& x, std::initializer_list<int64_t> padding, double value = 0);
/// x repeats[d] times along each dimension d; leading dimensions are added where there are more
/// repeats than dimensions. Copies unless all repeats are 1.
Tensor repeat(const Tensor& x, const Shape& repeats);
/// Tensors of one shape along a new dimension. Copies.
Tensor stack(const std::vector<Tensor>& parts, int dim = 0);
/// Views of x along `dim`: pieces of `size`, the last one smaller where it must be; or of `sizes`,
/// which add up to the extent.
std::vector<Tensor> split(const Tensor& x, int64_t size, int dim = 0);
std::vector<Tensor> split(const Tensor& x, std::span<const int64_t> sizes, int dim = 0);
/// Views of x: at most `count` pieces of equal extent, rounded up, the last one smaller. Fewer
/// where they do not need to be as many, as in PyTorch.
std::vector<Tensor> chunk(const Tensor& x, int64_t count, int dim = 0);
/// Matrices [.., rows, cols] with zeros above (tril) or below (triu) the given diagonal: 0 is the
/// main one, 1 the one above it.
Tensor tril(const Tensor& x, int64_t diagonal = 0);
Tensor triu(const Tensor& x, int64_t diagonal = 0);

}  // namespace trireme
