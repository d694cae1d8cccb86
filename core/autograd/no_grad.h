// Whether ops record a graph, per thread.

#pragma once

#include "core/tensor/autograd_meta.h"

namespace trireme {

/// True unless a NoGrad guard is alive on this thread.
inline bool is_recording() { return detail::recording; }

/// While alive, ops on this thread record no graph and their results need no gradient.
class NoGrad {
 public:
  NoGrad() : previous_(detail::recording) { detail::recording = false; }
  ~NoGrad() { detail::recording = previous_; }
  NoGrad(const NoGrad&) = delete;

 private:
  bool previous_;
};

}  // namespace trireme
