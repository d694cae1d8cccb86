// Whether ops record a graph, per thread: NoGrad, EnableGrad and InferenceMode. Guards nest and end
// in the order of scopes, on the thread that made them.

#pragma once

#include "core/tensor/autograd_meta.h"

namespace trireme {

/// True unless a NoGrad or InferenceMode guard is the innermost one of this thread.
inline bool is_recording() { return detail::recording; }

namespace detail {
class RecordingGuard {
 public:
  explicit RecordingGuard(bool record) : previous_(recording) { recording = record && !inference; }
  ~RecordingGuard() { recording = previous_; }
  RecordingGuard(const RecordingGuard&) = delete;

 private:
  bool previous_;
};
}  // namespace detail

/// While alive, ops on this thread record no graph and their results need no gradient.
class NoGrad : detail::RecordingGuard {
 public:
  NoGrad() : RecordingGuard(false) {}
};

/// Records again inside a NoGrad scope. Changes nothing inside an InferenceMode scope.
class EnableGrad : detail::RecordingGuard {
 public:
  EnableGrad() : RecordingGuard(true) {}
};

/// NoGrad for good: what is allocated while it lives can never take part in a backward pass. Such a
/// tensor refuses set_requires_grad, and backward refuses an op that kept it, by name; a clone made
/// outside is an ordinary tensor. Nobody has to count its changes. Views of ordinary tensors stay
/// ordinary.
class InferenceMode : detail::RecordingGuard {
 public:
  InferenceMode() : RecordingGuard(false), previous_(detail::inference) {
    detail::inference = true;
  }
  ~InferenceMode() { detail::inference = previous_; }

 private:
  bool previous_;
};

}  // namespace trireme
