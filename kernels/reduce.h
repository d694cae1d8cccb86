// Sums over any set of dimensions, and the largest or smallest element along one.
//
// f32 and the 16-bit types are summed in f64, so the error does not grow with the length (on CUDA
// the 16-bit types in f32, in many sums side by side). The order of additions depends on the shape
// and the device only: results are the same bits for any number of threads.

#pragma once

#include <cstdint>
#include <type_traits>

#include "core/base/device_tag.h"
#include "core/base/dtype.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// What elements of type T sum to: floating ones to themselves, integers and bool to i64.
template <typename T>
using SumOf = std::conditional_t<std::is_floating_point_v<Acc<T>>, T, int64_t>;

/// y[kept dims] = scale * sum of x over the dimensions d with bit d of `reduced` set; y is dense,
/// in the order of the kept dimensions. The sum of nothing is 0. scale is used for f64 and f32
/// only. Instantiated for every dtype.
template <typename T>
void sum(Cpu, StridedView<const T> x, uint32_t reduced, double scale, SumOf<T>* y);
template <typename T>
void sum(Cuda, StridedView<const T> x, uint32_t reduced, double scale, SumOf<T>* y);

/// Index (and value, unless `values` is null) of the largest element along the middle dimension of
/// dense x [outer, n, inner] -> dense [outer, inner]. The first one wins ties; a NaN counts as
/// largest. Requires n >= 1. Instantiated for every dtype.
template <typename T>
void max_along(Cpu, const T* x, int64_t outer, int64_t n, int64_t inner, T* values,
               int64_t* indices);
template <typename T>
void max_along(Cuda, const T* x, int64_t outer, int64_t n, int64_t inner, T* values,
               int64_t* indices);

/// The same for the smallest, without values; a NaN counts as smallest.
template <typename T>
void min_along(Cpu, const T* x, int64_t outer, int64_t n, int64_t inner, int64_t* indices);
template <typename T>
void min_along(Cuda, const T* x, int64_t outer, int64_t n, int64_t inner, int64_t* indices);

/// The gradient of max_along: dx [outer, n, inner] is dy at the indices and 0 elsewhere; all dense.
template <typename T>
void scatter_along(Cpu, const T* dy, const int64_t* indices, int64_t outer, int64_t n,
                   int64_t inner, T* dx);
template <typename T>
void scatter_along(Cuda, const T* dy, const int64_t* indices, int64_t outer, int64_t n,
                   int64_t inner, T* dx);

}  // namespace trireme::kernels
