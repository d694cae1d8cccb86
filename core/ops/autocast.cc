#include "core/ops/autocast.h"

#include "core/autograd/no_grad.h"
#include "core/ops/ops.h"

namespace trireme::detail {
namespace {

bool is_weight(const Tensor& x) { return x.requires_grad() && x.is_leaf(); }

/// x converted as it lies: a transposed matrix stays one, so that it is read and written in order.
Tensor converted(const Tensor& x, DType dtype) {
  const bool is_transposed =
      x.rank() >= 2 && x.strides()[x.rank() - 2] == 1 && x.strides()[x.rank() - 1] > 1;
  return is_transposed ? transpose(to(transpose(x, -2, -1), dtype), -2, -1) : to(x, dtype);
}

}  // namespace

Tensor WeightCasts::cast(const Tensor& weight, DType dtype) {
  for (Entry& e : entries_) {
    if (!e.weight.is_same(weight) || e.cast.dtype() != dtype || e.recorded != is_recording()) {
      continue;
    }
    if (e.version != weight.version()) {
      e.cast = to(weight, dtype);
      e.version = weight.version();
    }
    return e.cast;
  }
  entries_.push_back({weight, to(weight, dtype), weight.version(), is_recording()});
  return entries_.back().cast;
}

bool convert_operands(Precision precision, std::span<const Tensor* const> in, Tensor* out) {
  std::optional<DType> first;
  bool differ = false;
  for (const Tensor* x : in) {
    if (!x->defined() || !is_floating(x->dtype())) continue;
    if (x->dtype() == DType::kF64) return false;
    if (!first) first = x->dtype();
    differ = differ || x->dtype() != *first;
  }
  if (!first || (precision == Precision::kWidest && !differ)) return false;
  const DType target = precision == Precision::kLow ? autocast_state.dtype : DType::kF32;
  if (!differ && *first == target) return false;
  for (size_t i = 0; i < in.size(); ++i) {
    const Tensor& x = *in[i];
    if (!x.defined() || !is_floating(x.dtype()) || x.dtype() == target) {
      out[i] = x;
    } else if (precision == Precision::kLow && is_weight(x) && autocast_state.casts) {
      out[i] = autocast_state.casts->cast(x, target);
    } else {
      out[i] = converted(x, target);
    }
  }
  return true;
}

}  // namespace trireme::detail
