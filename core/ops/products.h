// Matrix products in other forms. Part of core/ops/ops.h.

#pragma once

#include <string_view>
#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

/// [batch, m, k] x [batch, k, n] -> [batch, m, n]; nothing broadcasts.
Tensor bmm(const Tensor& a, const Tensor& b);
/// beta x + alpha a b with a [m, k], b [k, n] and x broadcasting to [m, n]. x is not read where
/// beta is 0.
Tensor addmm(const Tensor& x, const Tensor& a, const Tensor& b, double beta = 1, double alpha = 1);
/// Products summed over indices, in the notation of Einstein, "The foundation of the general theory
/// of relativity", 1916: einsum("bik,bkj->bij", {a, b}) is a batched matrix product. One letter
/// names one extent; letters that the output lacks are summed over, and one that an operand has
/// twice takes its diagonal. `...` stands for any dimensions, which broadcast, as extents of 1 do.
/// Without `->` the output has `...` and then the letters that occur once, in alphabetical order.
/// Spaces are ignored. Operands are multiplied from left to right, two at a time, by matmul.
Tensor einsum(std::string_view equation, const std::vector<Tensor>& operands);

}  // namespace trireme
