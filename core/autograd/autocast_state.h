// What the ops of a thread ask before they compute: is Autocast (core/amp/autocast.h) on?

#pragma once

#include "core/base/dtype.h"

namespace trireme::detail {

class WeightCasts;

struct AutocastState {
  DType dtype = DType::kF32;     // of ops in low precision; f32: autocast is off
  WeightCasts* casts = nullptr;  // of the outermost guard

  bool is_on() const { return dtype != DType::kF32; }
};

inline thread_local AutocastState autocast_state;

/// While alive, no op of this thread converts its operands: formulas of backward are written for
/// the dtypes that forward had.
class AutocastPause {
 public:
  AutocastPause() : dtype_(autocast_state.dtype) { autocast_state.dtype = DType::kF32; }
  ~AutocastPause() { autocast_state.dtype = dtype_; }
  AutocastPause(const AutocastPause&) = delete;

 private:
  DType dtype_;
};

}  // namespace trireme::detail
