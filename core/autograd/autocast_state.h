// What the ops of a thread ask before they compute: is Autocast (core/amp/autocast.h) on?

#pragma once

#include "core/base/dtype.h"

namespace trireme::detail {

class WeightCasts;

struct AutocastState {
  DType dtype = DType::kF32;     // of ops in low precision; f32: autocast is off
  WeightCasts* casts = nullptr;  // of the outermost guard; null: weights are converted each time

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

/// While alive, ops convert as under a guard of `dtype` (f32: none), each weight for itself.
class AutocastReplay {
 public:
  explicit AutocastReplay(DType dtype) : outer_(autocast_state) { autocast_state = {dtype}; }
  ~AutocastReplay() { autocast_state = outer_; }
  AutocastReplay(const AutocastReplay&) = delete;

 private:
  AutocastState outer_;
};

}  // namespace trireme::detail
