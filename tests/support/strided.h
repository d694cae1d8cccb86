// Operands that are not contiguous.

#pragma once

#include "core/tensor/copy.h"
#include "core/tensor/create.h"
#include "core/tensor/view.h"

namespace trireme::testing {

/// A tensor with x's elements whose innermost dimension is not dense, and which begins somewhere in
/// its storage.
inline Tensor transposed_copy(const Tensor& x) {
  if (x.rank() == 0) return clone_detached(x);
  if (x.rank() == 1) {
    const Tensor wide = zeros({x.numel() + 1, 2}, {x.dtype(), x.device()});
    const Tensor every_second = views::as_strided(wide, x.shape(), {2}, 1);
    copy_inplace(every_second, x);
    return every_second;
  }
  Shape shape = x.shape();
  shape[x.rank() - 1] = x.shape()[x.rank() - 2];
  shape[x.rank() - 2] = x.shape().back() + 1;
  const Tensor wide = zeros(shape, {x.dtype(), x.device()});
  const Tensor swapped = views::slice(wide, -2, 1, x.shape().back() + 1);
  copy_inplace(swapped, views::transpose(x, -2, -1));
  return views::transpose(swapped, -2, -1);
}

}  // namespace trireme::testing
