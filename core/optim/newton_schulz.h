// The nearest semi-orthogonal matrix, approximately, by products alone.

#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// About scale U V^T of the matrix U S V^T: all singular values become roughly `scale` (0.7 to 1.2
/// times it; those below a thousandth of the norm fewer). `iterations` steps X = a X + (b A + c
/// A^2) X with A = X X^T from X = matrix / |matrix|, in the dtype `in`; three products each, over
/// the shorter side. Zero stays zero. The polynomial is Jordan's (core/optim/muon.h); the iteration
/// is Björck, Bowie, "An iterative algorithm for computing the best estimate of an orthogonal
/// matrix", 1971. Requires a floating matrix; the result has its shape and the dtype `in`. On a
/// device nobody waits.
Tensor orthogonalised(const Tensor& matrix, DType in, double scale = 1, int iterations = 5);

}  // namespace trireme
