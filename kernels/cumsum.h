// Running sums along rows.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "kernels/reduce.h"
#include "kernels/view.h"

namespace trireme::kernels {

enum class CumsumFrom { kFirst, kLast };

/// y[r, c] = sum of x[r, 0 .. c], or of x[r, c .. cols - 1] where the sum runs from the last; both
/// dense. Floating elements are summed in f64 and rounded once per result, integers and bool in
/// i64. Instantiated for every dtype.
template <typename T>
void cumsum(Cpu, MatrixView<const T> x, CumsumFrom from, SumOf<T>* y);
template <typename T>
void cumsum(Cuda, MatrixView<const T> x, CumsumFrom from, SumOf<T>* y);

/// What running sums of T are formed in.
template <typename T>
using RunningSum = std::conditional_t<std::is_floating_point_v<Acc<T>>, double, int64_t>;

}  // namespace trireme::kernels
