// Variance and standard deviation.

#include <algorithm>

#include "core/ops/autocast.h"
#include "core/ops/check.h"
#include "core/ops/dims.h"
#include "core/ops/ops.h"
#include "core/ops/safe_root.h"

namespace trireme {
namespace {

std::vector<int> all_dims(const Tensor& x) {
  std::vector<int> dims;
  for (int d = 0; d < x.rank(); ++d) dims.push_back(d);
  return dims;
}

/// x in the dtype that statistics are computed in, checked.
Tensor wide(const char* op, const Tensor& x) {
  detail::check_operand(op, x);
  require(is_floating(x.dtype()), op, "needs a floating-point dtype, got ", x.dtype());
  return to(x, acc_dtype(x.dtype()));
}

Tensor var_of(const char* op, const Tensor& x, std::span<const int> dims,
              const VarOptions& options) {
  double count = 1;
  const uint32_t bits = detail::dim_bits(op, dims, x.shape());
  for (int d = 0; d < x.rank(); ++d) {
    if (bits >> d & 1) count *= static_cast<double>(x.shape()[d]);
  }
  const Tensor from_mean = x - mean(x, dims, KeepDim::kYes);
  return sum(square(from_mean), dims, options.keep) / std::max(count - options.correction, 0.0);
}

}  // namespace

Tensor var(const Tensor& x, std::span<const int> dims, VarOptions options) {
  if (const auto in = detail::autocast<"var">(x)) return var(in[0], dims, options);
  const Tensor y = var_of("var", wide("var", x), dims, options);
  return to(y, x.dtype());
}

Tensor std(const Tensor& x, std::span<const int> dims, VarOptions options) {
  if (const auto in = detail::autocast<"std">(x)) return trireme::std(in[0], dims, options);
  const Tensor y = detail::safe_power(var_of("std", wide("std", x), dims, options), 0.5);
  return to(y, x.dtype());
}

Tensor var(const Tensor& x, VarOptions options) {
  detail::check_operand("var", x);
  return var(x, all_dims(x), options);
}
Tensor var(const Tensor& x, std::initializer_list<int> dims, VarOptions options) {
  return var(x, std::span(dims.begin(), dims.size()), options);
}
Tensor var(const Tensor& x, int dim, VarOptions options) {
  return var(x, std::span(&dim, 1), options);
}

Tensor std(const Tensor& x, VarOptions options) {
  detail::check_operand("std", x);
  return trireme::std(x, all_dims(x), options);
}
Tensor std(const Tensor& x, std::initializer_list<int> dims, VarOptions options) {
  return trireme::std(x, std::span(dims.begin(), dims.size()), options);
}
Tensor std(const Tensor& x, int dim, VarOptions options) {
  return trireme::std(x, std::span(&dim, 1), options);
}

}  // namespace trireme
