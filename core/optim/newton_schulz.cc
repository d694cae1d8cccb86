#include "core/optim/newton_schulz.h"

#include <limits>

#include "core/autograd/autocast_state.h"
#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"
#include "kernels/global_norm.h"

namespace trireme {
namespace {

// Steep at 0, so that small singular values grow fast; near 1 it need not settle exactly.
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
// What zero is divided by.
constexpr double kSmallestNorm = 1e-30;

// matrix / |matrix|, so that no singular value exceeds 1. In f32 where it has 16 bits; the norm is
// formed in f64, so that squares of small gradients do not vanish.
Tensor normalised(const Tensor& matrix) {
  const Tensor exact = to_contiguous(cast(matrix.detach(), acc_dtype(matrix.dtype())));
  const Tensor squares = zeros({}, {DType::kF64, exact.device()});
  dispatch_floating("orthogonalised", exact.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    on_device(exact.device(), [&](auto on) {
      kernels::add_sum_of_squares(on, exact.data<T>(), exact.numel(), squares.data<double>());
    });
  });
  const Tensor norm = clamp(sqrt(squares), kSmallestNorm, std::numeric_limits<double>::max());
  return exact / cast(norm, exact.dtype());
}

}  // namespace

Tensor orthogonalised(const Tensor& matrix, DType in, double scale, int iterations) {
  require(matrix.rank() == 2 && is_floating(matrix.dtype()) && is_floating(in), "orthogonalised",
          "needs a floating matrix and dtype, got shape ", matrix.shape(), " of ", matrix.dtype(),
          " in ", in);
  require(iterations >= 1, "orthogonalised", "iterations must be at least 1, got ", iterations);
  const NoGrad no_grad;
  const detail::AutocastPause no_autocast;
  const bool is_tall = matrix.size(0) > matrix.size(1);
  Tensor x = to(normalised(matrix), in);
  if (is_tall) x = transpose(x, 0, 1);
  for (int i = 0; i < iterations; ++i) {
    const double factor = i + 1 == iterations ? scale : 1;  // costs no pass of its own
    const Tensor a = matmul(x, transpose(x, 0, 1));
    const Tensor b = matmul(a, a);
    mul_inplace(b, factor * kC);
    add_inplace(b, a, factor * kB);
    const Tensor next = matmul(b, x);
    add_inplace(next, x, factor * kA);
    x = next;
  }
  return is_tall ? contiguous(transpose(x, 0, 1)) : x;
}

}  // namespace trireme
