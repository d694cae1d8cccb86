// Products of (batches of) strided matrices, and the column sums that give a bias its gradient.
//
// f32 products large enough to share among threads go through oneDNN; small and batched ones, and
// f64, through kernels/gemm.h. Nothing is copied but the packed right operand inside a product.

#pragma once

#include <cstdint>

#include "kernels/device_tag.h"
#include "kernels/gemm.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// c[.., m, n] (+)= a[.., m, k] b[.., k, n] + bias[n].
///
/// The three views have the same rank >= 2 and the same leading extents; stride 0 repeats a matrix.
/// In c, a leading stride of 0 sums over that dimension: the gradient of a broadcast operand. Rows
/// of c are contiguous. bias may be null; it needs Write::kOverwrite and no sum. Leading dimensions
/// that merely continue the rows (or the inner dimension, where c sums) become one large product.
void matmul(Cpu, StridedView<const float> a, StridedView<const float> b, StridedView<float> c,
            const float* bias = nullptr, Write write = Write::kOverwrite);
void matmul(Cpu, StridedView<const double> a, StridedView<const double> b, StridedView<double> c,
            const double* bias = nullptr, Write write = Write::kOverwrite);

/// y[c] = sum over rows of x[r, c]. One pass over x; the result does not depend on the threads.
void column_sums(Cpu, MatrixView<const float> x, float* y);
void column_sums(Cpu, MatrixView<const double> x, double* y);

}  // namespace trireme::kernels
