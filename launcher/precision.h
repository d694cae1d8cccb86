// What --precision means, in one place.

#pragma once

#include <string>

#include "core/base/dtype.h"
#include "core/base/error.h"

namespace trireme {

struct Precision {
  DType parameters = DType::kF32;  // and everything computed from them, without autocast
  DType autocast = DType::kF32;    // of products; f32: no autocast
  bool scales_loss = false;        // small gradients would be zero in f16
};

/// f32, bf16, f16 or bf16-pure, as the flag's help says.
inline Precision parse_precision(const std::string& name) {
  if (name == "f32") return {};
  if (name == "bf16") return {.autocast = DType::kBF16};
  if (name == "f16") return {.autocast = DType::kF16, .scales_loss = true};
  if (name == "bf16-pure") return {.parameters = DType::kBF16};
  fail("precision", "must be f32, bf16, f16 or bf16-pure, got '", name, "'");
}

}  // namespace trireme
