// Rows of a table by number, and the gradient that gathers back into the table.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// y[i] = weight[ids[i]] for i < y.rows. Ids must lie inside the table (find_outside in
/// cross_entropy.h checks). Id is i64 or i32.
template <typename T, typename Id>
void embedding(Cpu, MatrixView<const T> weight, const Id* ids, MatrixView<T> y);
template <typename T, typename Id>
void embedding(Cuda, MatrixView<const T> weight, const Id* ids, MatrixView<T> y);

/// dweight[v] = sum over the i with ids[i] = v of dy[i], zero where there is none. Overwrites
/// dweight. The order of summation is that of i: the result does not depend on the threads. 16-bit
/// elements are summed in f32 and rounded once. On CUDA ids outside the table are passed over, and
/// runs of equal ids are summed in pieces of at most 32.
template <typename T, typename Id>
void embedding_backward(Cpu, MatrixView<const T> dy, const Id* ids, MatrixView<T> dweight);
template <typename T, typename Id>
void embedding_backward(Cuda, MatrixView<const T> dy, const Id* ids, MatrixView<T> dweight);

}  // namespace trireme::kernels
