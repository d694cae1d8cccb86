// Our own kernels of kernels/pool2d.h on CUDA, under the same contracts.

#pragma once

#include "kernels/pool2d.h"

namespace trireme::kernels::own {

template <typename T, typename Place>
void max_pool2d(Cuda, const Pool2dGeometry& g, const T* x, T* y, Place* where);
template <typename T, typename Place>
void max_pool2d_backward(Cuda, const Pool2dGeometry& g, const T* dy, const Place* where, T* dx);
template <typename T>
void avg_pool2d(Cuda, const Pool2dGeometry& g, const T* x, T* y);
template <typename T>
void avg_pool2d_backward(Cuda, const Pool2dGeometry& g, const T* dy, T* dx);

}  // namespace trireme::kernels::own
