// Elements by their number along one dimension, and the sums that go back there.

#pragma once

#include <cstdint>

#include "core/base/device_tag.h"
#include "core/base/shape.h"
#include "kernels/fill_copy.h"
#include "kernels/view.h"

namespace trireme::kernels {

/// y[i] = x[i with ids[i] in the place of i[dim]] for every index i of ids.shape; y dense, of x's
/// dtype. x has the rank of ids and, but in `dim`, at least its extents; ids may repeat with
/// strides of 0. Ids must lie in [0, x.shape[dim]) (find_outside in cross_entropy.h checks); on
/// CUDA others read number 0. Id is i64 or i32.
template <typename Id>
void gather(Cpu, ConstAnyView x, int dim, const StridedView<const Id>& ids, void* y);
template <typename Id>
void gather(Cuda, ConstAnyView x, int dim, const StridedView<const Id>& ids, void* y);

/// The transpose of gather: y = 0, then y[i with ids[i] in the place of i[dim]] += src[i] for every
/// index i of src.shape. y, src and ids dense, the last two of one shape. Sums are formed in the
/// order of i[dim], so they do not depend on the threads; 16-bit elements are summed in f32 and
/// rounded once. On CUDA ids outside of y are passed over, and what one element of y is given is
/// summed in pieces of at most 32. Instantiated for the dtypes of arithmetic.
template <typename T, typename Id>
void scatter_sum(Cpu, const StridedView<const T>& src, int dim, const Id* ids,
                 const StridedView<T>& y);
template <typename T, typename Id>
void scatter_sum(Cuda, const StridedView<const T>& src, int dim, const Id* ids,
                 const StridedView<T>& y);

}  // namespace trireme::kernels
