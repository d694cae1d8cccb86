// cuBLASLt reads memory as column-major matrices; ours are row-major. This is the whole mapping.

#pragma once

#include "kernels/matmul_call.h"

namespace trireme::kernels {

/// A column-major [rows, cols] matrix whose columns lie `ld` apart, as it lies in memory; used
/// transposed if `is_transposed`.
struct CublasMatrix {
  int64_t rows, cols, ld, batch_stride;
  bool is_transposed;
};

/// d[m, n] = op(a)[m, k] op(b)[k, n], column-major.
struct CublasProduct {
  int64_t m, n, k;
  CublasMatrix a, b, d;
};

/// Row-major c = a b is, read column by column, c^T = b^T a^T. So cuBLASLt's first operand is our b
/// and its second our a, each as it lies: a row-major matrix is a column-major transposed one.
/// Requires operands that has_unit_stride() accepts.
CublasProduct column_major(const MatmulCall& call);

}  // namespace trireme::kernels
