// Products of (batches of) strided matrices, and the column sums that give a bias its gradient.
//
// Large products of f32, and of bf16 where the processor multiplies it (AVX-512 BF16, AMX), go
// through oneDNN; small and batched ones, and f64, through kernels/gemm.h; what is left of the
// 16-bit types through kernels/half_gemm.h. Nothing is copied but the packed right operand inside a
// product. 16-bit products are summed in f32 and rounded once.
//
// On CUDA everything goes through cuBLASLt (kernels/cublas_matmul.h), which reads matrices with a
// unit stride in either direction in place, and one batch stride; a matrix with none, or with
// repeated rows, is copied first. f32 is multiplied as f32, unless TRIREME_ALLOW_TF32=1.

#pragma once

#include <cstdint>
#include <type_traits>

#include "core/base/device_tag.h"
#include "kernels/gemm.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// c[.., m, n] (+)= a[.., m, k] b[.., k, n] + bias[n].
///
/// The three views have the same rank >= 2 and the same leading extents; stride 0 repeats a matrix.
/// In c, a leading stride of 0 sums over that dimension: the gradient of a broadcast operand. Rows
/// of c are contiguous. bias may be null; it needs Write::kOverwrite and no sum. Leading dimensions
/// that merely continue the rows (or the inner dimension, where c sums) become one large product.
template <typename T>
void matmul(Cpu, StridedView<const T> a, StridedView<const T> b, StridedView<T> c,
            const std::type_identity_t<T>* bias = nullptr, Write write = Write::kOverwrite);
template <typename T>
void matmul(Cuda, StridedView<const T> a, StridedView<const T> b, StridedView<T> c,
            const std::type_identity_t<T>* bias = nullptr, Write write = Write::kOverwrite);

/// y[c] = sum over rows of x[r, c]. One pass over x; the result does not depend on the threads.
template <typename T>
void column_sums(Cpu, MatrixView<const T> x, T* y);
template <typename T>
void column_sums(Cuda, MatrixView<const T> x, T* y);

}  // namespace trireme::kernels
