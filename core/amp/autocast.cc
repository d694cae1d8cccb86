#include "core/amp/autocast.h"

#include "core/ops/autocast.h"

namespace trireme {

Autocast::Autocast(DType dtype) : outer_(detail::autocast_state) {
  require(is_half_dtype(dtype) || dtype == DType::kF32, "autocast",
          "the dtype must be bf16 or f16, or f32 to switch it off, got ", dtype);
  if (!outer_.casts) casts_ = std::make_unique<detail::WeightCasts>();
  detail::autocast_state = {dtype, casts_ ? casts_.get() : outer_.casts};
}

Autocast::~Autocast() { detail::autocast_state = outer_; }

}  // namespace trireme
