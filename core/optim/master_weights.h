// Saved states of runs in one precision, for runs in another: a run that keeps f32 master weights
// beside 16-bit parameters and one with f32 parameters hold the same numbers in different places.

#pragma once

#include "core/tensor/state_dict.h"

namespace trireme {

/// What the name of a master weight in an optimizer's state begins with.
inline constexpr char kMasterPrefix[] = "master.";

/// Makes a saved `model` and `optimizer` fit an optimizer whose state_dict() is `target`. Where
/// only the saved one has masters, they take their parameters' places, exact. Where only the target
/// has, the parameters become the masters. Handles are exchanged; nothing is copied.
void convert_master_weights(StateDict& model, StateDict& optimizer, const StateDict& target);

}  // namespace trireme
