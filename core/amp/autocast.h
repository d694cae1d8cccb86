// Autocast: mixed precision without changing the model.
//
//   {
//     Autocast autocast(DType::kBF16);
//     loss = model.loss(ids, targets);
//   }
//   backward(loss);            // outside: gradients arrive in the parameters' dtype, f32
//
// While a guard is alive, the ops of this thread convert their f32 operands by the table in
// core/ops/autocast_table.h: products run in the guard's dtype, reductions, normalisations and
// losses in f32, and where dtypes meet the wider one wins. Parameters stay f32; each is converted
// once for as long as the outermost guard lives, or until it is written to. Gradients flow back
// through the conversions. Ops on integers and f64 are not affected, and neither is backward.
//
// bf16 has the range of f32: nothing else is needed. f16 loses gradients below 6e-8; scale the loss
// with a GradScaler (grad_scaler.h). Micikevicius et al., "Mixed precision training", 2018.

#pragma once

#include <memory>

#include "core/autograd/autocast_state.h"

namespace trireme {

class Autocast {
 public:
  /// kBF16 or kF16; kF32 switches an outer guard off for this scope. Guards nest and end in the
  /// order of scopes, on the thread that made them.
  explicit Autocast(DType dtype);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  detail::AutocastState outer_;
  std::unique_ptr<detail::WeightCasts> casts_;  // of the outermost guard
};

}  // namespace trireme
