// Copies and conversions without history (core/ops has the differentiable `to`).

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// x itself if it is contiguous, else a dense row-major copy. The result has no history.
Tensor to_contiguous(const Tensor& x);
/// Always a fresh contiguous copy, without history.
Tensor clone_detached(const Tensor& x);
/// A copy converted to `dtype` (x without history if it has that dtype already). Float to integer
/// truncates.
Tensor cast(const Tensor& x, DType dtype);
/// The rule of every in-place operation: throws InvalidArgument naming `op` where dst repeats
/// elements (expand), or needs a gradient and gradients are being recorded.
void check_writable(const char* op, const Tensor& dst);
/// dst[...] = src[...] in place, converting the dtype; src broadcasts to dst and may lie on another
/// device (a copy to the CPU waits for it). Bumps dst's version.
/// While gradients are being recorded neither may need one: no history is kept.
void copy_inplace(const Tensor& dst, const Tensor& src);
/// dst[...] = value, which dst's dtype must hold: integers take whole numbers of their range. Bumps
/// dst's version.
void fill_inplace(const Tensor& dst, double value);
/// dst[...] += alpha * src, same shape and dtype. Bumps dst's version. Used by backward: the
/// contributions to a 16-bit gradient add up in 16 bits, each sum rounded.
void accumulate_inplace(const Tensor& dst, const Tensor& src, double alpha = 1.0);

}  // namespace trireme
