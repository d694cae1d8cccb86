#include "kernels/cublas_layout.h"

#include "core/base/error.h"

namespace trireme::kernels {
namespace {

/// A row-major [rows, cols] operand of the product of transposes: op() of it is [cols, rows].
CublasMatrix transposed_operand(const MatmulOperand& x, int64_t rows, int64_t cols) {
  // Contiguous rows are the columns of the transpose: used as it lies. A row stride may be anything
  // where there is one row, and a column stride where there is one column.
  if ((x.col_stride == 1 || cols == 1) && (x.row_stride >= cols || rows == 1)) {
    return {cols, rows, rows == 1 ? cols : x.row_stride, x.batch_stride, false};
  }
  TRIREME_ASSERT((x.row_stride == 1 || rows == 1) && (x.col_stride >= rows || cols == 1));
  return {rows, cols, cols == 1 ? rows : x.col_stride, x.batch_stride, true};
}

}  // namespace

CublasProduct column_major(const MatmulCall& call) {
  return {call.n,
          call.m,
          call.k,
          transposed_operand(call.b, call.k, call.n),
          transposed_operand(call.a, call.m, call.k),
          {call.n, call.m, call.m == 1 ? call.n : call.c_row_stride, call.c_batch_stride, false}};
}

}  // namespace trireme::kernels
