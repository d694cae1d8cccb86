// Whose values are not finite: asked once averages are not, before the run ends because of it.

#pragma once

#include <string>

#include "core/tensor/state_dict.h"
#include "distributed/communicator.h"

namespace trireme {

/// What one rank has computed itself, before any averaging.
struct OwnValues {
  double loss = 0;
  std::string bad_gradient;  // first parameter whose gradient is not finite; "" if none is known
};

/// "rank 1 on node-b (loss nan), rank 3 on node-d (gradient of ln_f.weight)", the same text on
/// every rank; "" if every rank's own values are finite. Collective, blocking.
std::string describe_not_finite(const OwnValues& mine, Communicator& communicator);

/// Name of the first parameter whose gradient holds an inf or nan; "" if none does.
std::string first_not_finite(const StateDict& parameters);

}  // namespace trireme
