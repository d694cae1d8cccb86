// matmul_gelu as a product and separate passes, on either device.

#pragma once

#include <array>

#include "kernels/functors.h"
#include "kernels/gelu_gradient.h"
#include "kernels/matmul.h"
#include "kernels/matmul_gelu.h"
#include "kernels/pointwise.h"

namespace trireme::kernels {

template <typename T>
StridedView<T> as_strided(const MatrixView<T>& x) {
  return {x.data, {x.rows, x.cols}, {x.row_stride, 1}};
}

template <typename T, typename Device>
void gelu_in_passes(Device device, const StridedView<const T>& x,
                    const StridedView<const T>& weight, const T* bias, const MatrixView<T>& pre,
                    const MatrixView<T>& y) {
  matmul<T>(device, x, weight, as_strided(pre), bias);
  map(device, GeluTanh{}, std::array<const T*, 1>{pre.data}, y.data, pre.rows * pre.cols);
}

template <typename T, typename Device>
void gelu_backward_in_passes(Device device, const StridedView<const T>& dz,
                             const StridedView<const T>& weight, const MatrixView<const T>& pre,
                             const MatrixView<T>& dpre, T* dbias) {
  matmul<T>(device, dz, weight, as_strided(dpre));
  gelu_bias_gradient<T>(device, pre, dpre, dpre, dbias);
}

}  // namespace trireme::kernels
