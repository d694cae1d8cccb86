// Norms of vectors.

#include <cmath>

#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/dims.h"
#include "core/ops/ops.h"
#include "core/ops/safe_root.h"

namespace trireme {
namespace {

/// fn over the dimensions in `bits`, moved behind the others and joined to one.
template <typename Fn>
Tensor over_joined(const Tensor& x, uint32_t bits, KeepDim keep, const Fn& fn) {
  std::array<int, kMaxRank> order{};
  size_t next = 0;
  Shape joined, ones = x.shape();
  for (int d = 0; d < x.rank(); ++d) {
    if (bits >> d & 1) {
      ones[d] = 1;
    } else {
      order[next++] = d;
      joined.push_back(x.shape()[d]);
    }
  }
  int64_t count = 1;
  for (int d = 0; d < x.rank(); ++d) {
    if ((bits >> d & 1) == 0) continue;
    order[next++] = d;
    count *= x.shape()[d];
  }
  joined.push_back(count);
  const Tensor rows = reshape(permute(x, std::span(order.data(), next)), joined);
  const Tensor y = fn(rows, joined.rank() - 1);
  return keep == KeepDim::kYes ? reshape(y, ones) : y;
}

/// |x|, raised to p; 0 with a gradient of 0 where x is and the slope there is not finite.
Tensor powers(const Tensor& x, double p) {
  return p < 1 ? detail::safe_power(abs(x), p) : pow(abs(x), p);
}

Tensor norm_of(const Tensor& x, double p, std::span<const int> dims, KeepDim keep) {
  const uint32_t bits = detail::dim_bits("norm", dims, x.shape());
  if (std::isinf(p)) {
    return over_joined(abs(x), bits, keep, [p](const Tensor& rows, int last) {
      return p > 0 ? max(rows, last) : min(rows, last);
    });
  }
  if (p == 0) return sum(to(not_equal(x.detach(), 0), x.dtype()), dims, keep);
  if (p == 1) return sum(abs(x), dims, keep);
  if (p == 2) return detail::safe_power(sum(square(x), dims, keep), 0.5);
  return detail::safe_power(sum(powers(x, p), dims, keep), 1 / p);
}

}  // namespace

Tensor norm(const Tensor& x, double p, std::span<const int> dims, KeepDim keep) {
  if (const auto in = detail::autocast<"norm">(x)) return norm(in[0], p, dims, keep);
  detail::check_operand("norm", x);
  require(is_floating(x.dtype()), "norm", "needs a floating-point dtype, got ", x.dtype());
  require(p >= 0 || (std::isinf(p) && p < 0), "norm", "p must be at least 0, or -infinity, got ",
          p);
  return to(norm_of(to(x, acc_dtype(x.dtype())), p, dims, keep), x.dtype());
}

Tensor norm(const Tensor& x, double p, std::initializer_list<int> dims, KeepDim keep) {
  return norm(x, p, std::span(dims.begin(), dims.size()), keep);
}

Tensor norm(const Tensor& x, double p) {
  detail::check_operand("norm", x);
  return norm(reshape(x, {-1}), p, {0});
}

}  // namespace trireme
